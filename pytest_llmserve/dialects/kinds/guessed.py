"""Servers that describe nothing: the commonest requests are simply tried, at the last."""

from __future__ import annotations

from collections.abc import Generator

import msgspec

from pytest_llmserve.dialects.errors import sentence_from_body
from pytest_llmserve.dialects.openapi import post_paths
from pytest_llmserve.dialects.probing import Asking, Choice, Detecting, Probe, ProbeAnswer

PROMPT = "Say hi."
_NOT_TAKEN = frozenset({400, 422})
_NO_POST = 501


class Guess(msgspec.Struct, frozen=True):
    """A request that many servers take: where, in which dialect, and its template."""

    path: str
    api: str
    request: str

    @property
    def body(self) -> str:
        """As it is sent."""
        return self.request.replace("{prompt}", PROMPT)

    @property
    def probe(self) -> Probe:
        """The question."""
        return Probe("POST", self.path, self.body.encode())

    def choice(self, because: str) -> Choice:
        """That of a server which takes it."""
        return Choice(api=self.api, path=self.path, because=because, json_request=self.request)


GUESSES = (
    Guess("/generate", "json", '{"prompt": "{prompt}"}'),
    Guess("/run", "gradio", '{"data": ["{prompt}"]}'),
    Guess("/predict", "json", '{"input": "{prompt}"}'),
)
"""In the order of trying. The last is that of LitServe's examples, whose description leaves its body out."""


def detect(asking: Asking) -> Detecting:
    """A POST that answers something other than a web page to a prompt, or the only one that takes its time.

    Where /openapi.json is there, only paths that it has are tried.
    """
    described = yield from _described(asking)
    slow: list[tuple[Guess, ProbeAnswer]] = []
    for guess in GUESSES:
        if described is not None and guess.path not in described:
            continue
        answer = yield from asking.ask(guess.probe)
        if _answers(answer):
            asking.conclude(guess.probe, "is an answer")
            return guess.choice(f"POST {guess.path} answers {guess.body}")
        if is_slow(answer):
            slow.append((guess, answer))
        elif fails(answer) or refuses(answer):
            asking.conclude(guess.probe, f"says {sentence_from_body(answer.body)}")
    if len(slow) != 1:
        return None
    guess, answer = slow[0]
    asking.conclude(guess.probe, "may be a slow model")
    return guess.choice(f"POST {guess.path} is slow ({answer.error}), and no other path answers")


def asked(asking: Asking) -> list[tuple[Guess, ProbeAnswer]]:
    """The requests that were tried, each with its answer."""
    return [(guess, asking.answers[guess.probe]) for guess in GUESSES if guess.probe in asking.answers]


def is_slow(answer: ProbeAnswer) -> bool:
    """No answer, or none of its body, when the time was over."""
    good = answer.status is None or 200 <= answer.status < 300
    return answer.slow and good and not answer.body


def fails(answer: ProbeAnswer) -> bool:
    """An error of the server's own; 501 says that it knows no POST."""
    return answer.status is not None and answer.status >= 500 and answer.status != _NO_POST


def refuses(answer: ProbeAnswer) -> bool:
    """The request is not as the server wants it."""
    return answer.status in _NOT_TAKEN


def _described(asking: Asking) -> Generator[Probe, ProbeAnswer, tuple[str, ...] | None]:
    document = (yield from asking.get("/openapi.json")).json_object
    return post_paths(document) if document else None


def _answers(answer: ProbeAnswer) -> bool:
    if answer.status is None or not 200 <= answer.status < 300:
        return False
    return bool(answer.body) and "html" not in answer.content_type.lower()

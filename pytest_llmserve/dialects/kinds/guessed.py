"""Servers that describe nothing: the commonest requests are simply tried, at the last."""

from __future__ import annotations

import json
from collections.abc import Generator

import msgspec

from pytest_llmserve.dialects.openapi import post_paths
from pytest_llmserve.dialects.probing import Asking, Choice, Detecting, Probe, ProbeAnswer

PROMPT = "Say hi."


class Guess(msgspec.Struct, frozen=True):
    """A request that many servers take: where, in which dialect, and its template."""

    path: str
    api: str
    request: str


GUESSES = (
    Guess("/generate", "json", '{"prompt": "{prompt}"}'),
    Guess("/run", "gradio", '{"data": ["{prompt}"]}'),
    Guess("/predict", "json", '{"input": "{prompt}"}'),
)
"""In the order of trying. The last is that of LitServe's examples, whose description leaves its body out."""


def detect(asking: Asking) -> Detecting:
    """A POST that answers something other than a web page to a prompt.

    Where /openapi.json is there, only paths that it has are tried.
    """
    described = yield from _described(asking)
    for guess in GUESSES:
        if described is not None and guess.path not in described:
            continue
        body = guess.request.replace("{prompt}", PROMPT).encode()
        answer = yield from asking.ask(Probe("POST", guess.path, body))
        if _answers(answer):
            because = f"POST {guess.path} answers {json.loads(body)!s}".replace("'", '"')
            return Choice(api=guess.api, path=guess.path, because=because, json_request=guess.request)
    return None


def _described(asking: Asking) -> Generator[Probe, ProbeAnswer, tuple[str, ...] | None]:
    document = (yield from asking.get("/openapi.json")).json_object
    return post_paths(document) if document else None


def _answers(answer: ProbeAnswer) -> bool:
    if answer.status is None or not 200 <= answer.status < 300:
        return False
    return bool(answer.body) and "html" not in answer.content_type.lower()

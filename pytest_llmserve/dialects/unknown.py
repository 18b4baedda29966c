"""What is said of a server of no known kind: all that was seen, and the way out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pytest_llmserve.dialects import DIALECTS
from pytest_llmserve.dialects.errors import sentence_from_body
from pytest_llmserve.dialects.kinds import guessed
from pytest_llmserve.dialects.openapi import find_json_posts, find_text_posts, post_paths
from pytest_llmserve.dialects.probing import Asked, Asking, Probe, ProbeAnswer

_NAMED_PATHS = 8


def unknown_text(asking: Asking, url: str, base: str) -> str:
    """The sentence for a server that is of no known kind.

    Args:
        asking: all that was asked.
        url: of the server.
        base: what the user writes before a path.
    """
    failing = _there(asking, guessed.fails)
    if failing is not None:
        guess, answer = failing
        return (
            f"{url}: POST {guess.path} answered {answer.status}: {sentence_from_body(answer.body)};"
            f" it was asked {guess.body}: see the server's log, or where it wants another request, name"
            f" {_endpoint(base, guess.path)} and give --llm-json-request"
        )
    hints = (
        _described(asking, base)
        or [*_refused(asking, base), *_slow(asking, base)]
        or _listing(asking, base)
        or [f"name the API with --llm-api, and the path in the URL, such as {_endpoint(base, '/PATH')}"]
    )
    seen = f"none of: {', '.join(DIALECTS)} is spoken at {url}: {listed(asking.asked)}"
    return "; ".join([seen, *hints])


def listed(asked: Iterable[Asked]) -> str:
    """Each probe with its answer; those with one answer together."""
    by_answer: dict[tuple[str, str], list[Any]] = {}
    for one in asked:
        method, _, path = one.probe.partition(" ")
        by_answer.setdefault((method, one.answer), []).append(path)
    return ", ".join(
        f"{method} {' '.join(paths)} answered {answer}" for (method, answer), paths in by_answer.items()
    )


def _document(asking: Asking) -> dict[str, Any]:
    return asking.answers.get(Probe("GET", "/openapi.json"), ProbeAnswer()).json_object


def _there(asking: Asking, so: Callable[[ProbeAnswer], bool]) -> tuple[guessed.Guess, ProbeAnswer] | None:
    """The first guess answered so, where that is not the answer to any POST."""
    tried = guessed.asked(asking)
    found = [pair for pair in tried if so(pair[1])]
    return found[0] if found and (_document(asking) or len(found) < len(tried)) else None


def _described(asking: Asking, base: str) -> list[str]:
    """The POSTs that take a text, by the server's description: which there are, what one wants beside it."""
    document = _document(asking)
    hints = [
        f"{post.wants}: give {_endpoint(base, post.path)} --llm-json-request='{post.request}'"
        for post in find_json_posts(document)
        if post.missing
    ][:1]
    fitting = next((post.path for post in find_text_posts(document) if not post.missing), None)
    return hints if fitting is None else [*_listing(asking, base, fitting), *hints]


def _listing(asking: Asking, base: str, such: str | None = None) -> list[str]:
    """The paths that the description has, with one as an example."""
    paths = post_paths(_document(asking))
    there = ", ".join(paths[:_NAMED_PATHS]) + (", ..." if len(paths) > _NAMED_PATHS else "")
    example = _endpoint(base, such or next(iter(paths), ""))
    return [f"its /openapi.json has POST {there}: name one in the URL, such as {example}"] if paths else []


def _refused(asking: Asking, base: str) -> list[str]:
    refusing = _there(asking, guessed.refuses)
    if refusing is None:
        return []
    guess, answer = refusing
    return [
        f"POST {guess.path} answered {answer.status} to {guess.body}: {sentence_from_body(answer.body)}:"
        f" name {_endpoint(base, guess.path)} and give --llm-json-request"
    ]


def _slow(asking: Asking, base: str) -> list[str]:
    slow = [guess for guess, answer in guessed.asked(asking) if guessed.is_slow(answer)]
    if not slow:
        return []
    return [
        f"if it is a slow model, name its path, such as {_endpoint(base, slow[0].path)}, and give it longer,"
        " -o llm_ready_timeout=5m"
    ]


def _endpoint(base: str, path: str) -> str:
    url = f"'{base}{path}'" if "{" in base else f"{base}{path}"
    return f"--llm-endpoint={url}"

"""How `--llm-api auto` decides: what to ask next, and what the answers mean. Asks nothing itself."""

from __future__ import annotations

from collections.abc import Generator

import msgspec

from pytest_llmserve.dialects.kinds import DIALECT_KINDS, KINDS, guessed, kind
from pytest_llmserve.dialects.known_paths import KnownPath, is_unmistakable, known_path, place_of
from pytest_llmserve.dialects.openapi import post_paths
from pytest_llmserve.dialects.probing import Asked, Asking, Choice, Detecting, Probe, ProbeAnswer
from pytest_llmserve.dialects.unknown import listed, unknown_text
from pytest_llmserve.domain.errors import ServerUnusable

__all__ = [
    "Asked",
    "Asking",
    "Choice",
    "Detection",
    "Probe",
    "ProbeAnswer",
    "detect",
    "look_up",
    "posts_in",
]

Detection = Generator[Probe, ProbeAnswer, Choice]
"""Yields what to ask next, is sent the answer, and returns what was chosen."""


def detect(path: str, url: str, asking: Asking | None = None, base: str | None = None) -> Detection:
    """Find out how a server is spoken to, by the path of the user's URL and by asking what is still open.

    Args:
        path: of the URL.
        url: as it is told in errors.
        asking: takes what is asked and concluded, also when it ends with an error.
        base: what the user writes before a path, where that is not the URL without its own.

    Raises:
        ServerUnusable: nothing answers, a key is wanted, or the server is of no known kind;
            lists what each probe answered and says what to do.
    """
    asking = asking or Asking()
    try:
        choice = yield from _choice(asking, path)
    except ServerUnusable as error:
        raise ServerUnusable(f"{url}: {error}") from None
    if choice is None:
        raise ServerUnusable(unknown_text(asking, url, url.removesuffix(path) if base is None else base))
    return msgspec.structs.replace(choice, asked=asking.asked)


def _choice(asking: Asking, path: str) -> Detecting:
    known = known_path(path)
    choice = yield from (_by_path(asking, path, known) if known else _by_signs(asking, path))
    if choice is None:
        choice = yield from _own_path(asking, path) if place_of(path).base else guessed.detect(asking)
    return choice


def look_up(api: str, path: str, asking: Asking | None = None) -> Detection:
    """What a server of this dialect tells of its models, or of its functions; it may tell nothing."""
    asking = asking or Asking()
    choice = Choice(api=api, path=path, because="--llm-api names it")
    if api in DIALECT_KINDS and not (api == "kserve" and known_path(path)):
        known = known_path(path)
        try:
            found = yield from kind(DIALECT_KINDS[api])(asking, known.place if known else place_of(path))
        except ServerUnusable:  # of this kind or not: the user says that it is
            found = None
        choice = _as_named(choice, found, known is not None)
    return msgspec.structs.replace(choice, asked=asking.asked)


def _as_named(choice: Choice, found: Choice | None, has_path: bool) -> Choice:
    if found is None:
        return choice
    if found.api != "gradio" or has_path:
        return msgspec.structs.replace(choice, models=found.models)
    return msgspec.structs.replace(found, because=f"{choice.because}; {found.because}")


def _by_signs(asking: Asking, path: str) -> Detecting:
    place = place_of(path)
    # An app that names this very path among its own spares it the other questions.
    first = ("openai", "openapi") if place.base else ()
    for name in dict.fromkeys((*first, *KINDS)):
        choice = yield from kind(name)(asking, place)
        if choice is not None:
            return choice
    _check_that_it_answers(asking)
    return None


def _check_that_it_answers(asking: Asking) -> None:
    if all(answer.status is None for answer in asking.answers.values()):
        raise ServerUnusable(
            f"the server does not answer: {listed(asking.asked)}; check that it runs, and the URL"
        )


def _by_path(asking: Asking, path: str, known: KnownPath) -> Detecting:
    """The API that the path names, with what else has to be known: models, a function's other inputs."""
    because = f"the URL ends with {known.shown}"
    if known.api == "gradio":
        return (yield from _gradio_path(asking, path, known, because))
    choice = Choice(api=known.api, path=path, because=because)
    if known.api == "kserve":  # has its model in the path
        return choice
    try:
        found = yield from kind(DIALECT_KINDS[known.api])(asking, known.place)
    except ServerUnusable:
        found = None
    _check_that_it_answers(asking)
    if found is None and not is_unmistakable(path):
        from pytest_llmserve.dialects.kinds import openapi_server

        return (yield from openapi_server.named(asking, known.place, path)) or choice
    return msgspec.structs.replace(choice, models=found.models) if found else choice


def _gradio_path(asking: Asking, path: str, known: KnownPath, because: str) -> Detecting:
    """A function of a Gradio app; else any POST that the server describes so, as /run is a common name."""
    from pytest_llmserve.dialects.kinds import gradio_server, openapi_server

    function = yield from gradio_server.named(asking, known.place, path, because)
    if function is not None:
        return function
    if not known.shown.startswith("/gradio_api/"):
        described = yield from openapi_server.detect(asking, place_of(path))
        if described is not None:
            return described
    _check_that_it_answers(asking)
    return Choice(api="gradio", path=path, because=because)


def _own_path(asking: Asking, path: str) -> Detecting:
    """A path that no known API has: its last word may still tell."""
    if path.endswith("/generate"):
        tgi = yield from kind("tgi")(asking, place_of(path.removesuffix("/generate")))
        if tgi is not None:
            return msgspec.structs.replace(tgi, path=path, fallbacks=())
    return Choice(api="json", path=path, because=f"the URL names {path}: a path of your own is sent JSON")


def posts_in(answer: ProbeAnswer) -> tuple[str, ...]:
    """The path of every POST in an OpenAPI document; empty where the answer is none."""
    return post_paths(answer.json_object)

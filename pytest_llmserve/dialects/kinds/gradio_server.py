"""Gradio apps, of any generation since the third."""

from __future__ import annotations

from collections.abc import Generator

import msgspec

from pytest_llmserve.dialects.gradio_app import GradioFunction, functions, prefix_of
from pytest_llmserve.dialects.known_paths import Place
from pytest_llmserve.dialects.probing import Asking, Choice, Detecting, Probe, ProbeAnswer
from pytest_llmserve.domain.errors import ServerUnusable

_SHOWN_FUNCTIONS = 8


def detect(asking: Asking, place: Place) -> Detecting:
    """A Gradio version in /config; its functions in the info page beside it.

    Raises:
        ServerUnusable: an app of Gradio none of whose functions takes a text.
    """
    config = f"{place.base}/config"
    found = yield from _functions(asking, place)
    usable = [function for function in found if function.takes_text]
    if not usable:
        version = asking.answers[Probe("GET", config)].json_object.get("version")
        if found:
            names = ", ".join(function.name for function in found[:_SHOWN_FUNCTIONS])
            raise ServerUnusable(
                f"GET {config} is that of Gradio {version}, and no function of it takes a text: {names};"
                " name one in the URL, such as /call/NAME, and its inputs with --llm-json-request"
            )
        return None
    because = asking.conclude(config, f"is that of Gradio {usable[0].generation}")
    because += f", whose function {usable[0].name} takes a text"
    if len(usable) > 1:
        others = ", ".join(function.path for function in usable[1:_SHOWN_FUNCTIONS])
        because += f" (and {others}: name one in the URL)"
    choice = _choice(place.base + usable[0].path, usable[0], because)
    return msgspec.structs.replace(choice, other_paths=_at_once(choice.path))


def _at_once(path: str) -> tuple[str, ...]:
    """Where an app that takes no orders answers, as those of older generations do."""
    return (path.replace("/call/", "/run/"),) if "/call/" in path else ()


def named(asking: Asking, place: Place, path: str, because: str) -> Detecting:
    """The function that has this path, with its other inputs; None when it is of no Gradio app."""
    for function in (yield from _functions(asking, place)):
        if place.base + function.path == path or path.endswith(f"/{function.name}"):
            return _choice(path, function, because)
    return None


def _choice(path: str, function: GradioFunction, because: str) -> Choice:
    return Choice(
        api="gradio",
        path=path,
        because=because,
        json_request=function.request if function.takes_text else None,
        json_answer=function.answer,
    )


def _functions(asking: Asking, place: Place) -> Generator[Probe, ProbeAnswer, tuple[GradioFunction, ...]]:
    config = (yield from asking.get(f"{place.base}/config")).json_object
    prefix = prefix_of(config)
    if not isinstance(config.get("version"), str) or "dependencies" not in config or prefix is None:
        return ()
    page = f"{place.base}{prefix}/info"
    info = (yield from asking.get(page)).json
    found = functions(info, config)
    if found:
        asking.conclude(f"{place.base}/config", f"is that of Gradio {found[0].generation}")
        asking.conclude(page, f"lists {_named(found)}")
    return found


def _named(found: tuple[GradioFunction, ...]) -> str:
    names = ", ".join(function.name for function in found[:_SHOWN_FUNCTIONS])
    more = ", ..." if len(found) > _SHOWN_FUNCTIONS else ""
    return f"the {'function' if len(found) == 1 else 'functions'} {names}{more}"

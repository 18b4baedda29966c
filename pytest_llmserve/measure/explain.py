"""How a server was found out, told part by part while it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.domain.replicas import models_of, replicas_of, server_name
from pytest_llmserve.measure.contained import in_container
from pytest_llmserve.measure.opening import OpenServer, ServerWish, open_server
from pytest_llmserve.serve.story import Story

Say = Callable[[str, Sequence[str]], None]
"""Takes a heading and the texts beneath it, without secrets."""


def explain(wish: ServerWish, folder: Path, say: Say) -> bool:
    """Open the server, tell how it was found out and what it can do, and close it again.

    Returns:
        False where it cannot be used; why is told.

    Raises:
        SetupError: an option is wrong.
    """
    story = Story()
    try:
        opened = in_container(open_server(wish, folder, story), wish.container)
    except ServerUnusable as error:
        _say_story(story, say)
        say("unusable", [str(error)])
        return False
    try:
        _say_story(story, say)
        for heading, texts in _server(opened):
            say(heading, [opened.endpoint.told(text) for text in texts])
        heading, texts = _capabilities(opened)  # after the rest is told: it takes a while
        say(heading, [opened.endpoint.told(text) for text in texts])
    finally:
        opened.close()
    return True


def _say_story(story: Story, say: Say) -> None:
    """Of several servers or models, that of each, by name."""
    of = f" of {story.of}" if story.of else ""
    if story.asked:
        say(f"asked{of}", [f"{asked}: {asked.so}" for asked in story.asked])
    for number, tried in enumerate(story.tried, 1):
        say(f"{'first request' if number == 1 else f'request {number}'}{of}", [tried.request, tried.answer])
    for other in story.beside:
        _say_story(other, say)


def _server(opened: OpenServer) -> list[tuple[str, Sequence[str]]]:
    """How it is spoken to and what is watched, by headings."""
    endpoint = opened.endpoint
    models = models_of(endpoint.target)
    model = f"model{'s' if len(models) > 1 else ''} {', '.join(models)}" if models else "no model named"
    processes = [(server_name(endpoint.target), opened.pid, opened.why)]
    processes += [(each.name, each.pid, each.why) for each in opened.beside]
    told = [(name, why if pid is None else f"pid {pid}, {why}") for name, pid, why in processes]
    return [
        ("chosen", [f"{endpoint.api}, {model}", f"because {endpoint.because}"]),
        ("process", [text if len(told) == 1 else f"{name}: {text}" for name, text in told]),
        ("metrics", opened.metrics_urls or [opened.metrics_missing or "none"]),
        ("log", [str(path) for path in opened.logs] or ["none known; give --llm-server-log=FILE"]),
    ]


def _capabilities(opened: OpenServer) -> tuple[str, list[str]]:
    found, first = opened.endpoint.capabilities, replicas_of(opened.endpoint.target)[0].name
    each = ((name, getattr(found, name)) for name in found.__struct_fields__)
    heading = "capabilities" if first is None else f"capabilities of {first}, the first"
    return heading, [f"{name}: {one.word}: {one.evidence}" for name, one in each]

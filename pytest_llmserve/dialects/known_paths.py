"""The paths by which APIs are known: what the end of a URL tells."""

from __future__ import annotations

import re

import msgspec


class Place(msgspec.Struct, frozen=True):
    """A prefix below which a server is asked.

    Attributes:
        prefix: as the user gave it, without an endpoint.
        base: the same without a version.
        version: such as "/v1", which is also that of a prefix without one.
    """

    prefix: str
    base: str
    version: str


class KnownPath(msgspec.Struct, frozen=True):
    """The end of a path, and the API that has it.

    Attributes:
        shown: the end, as it is told.
        place: what stands before it.
    """

    api: str
    shown: str
    place: Place


_VERSION = re.compile(r"/v\d+\Z")

_ENDS: tuple[tuple[str, str], ...] = (
    (r"/chat/completions", "openai-chat"),
    (r"/completions", "openai-completions"),
    (r"/responses", "openai-responses"),
    (r"/v\d+/messages", "anthropic-messages"),
    (r"/api/chat", "ollama-chat"),
    (r"/api/generate", "ollama-generate"),
    (r"/v2/models/[^/]+(?:/versions/[^/]+)?(?:/generate(?:_stream)?)?", "kserve"),
    (r"/generate_stream", "tgi"),
    (r"/gradio_api/(?:call|run|api)/[^/]+", "gradio"),
    (r"/(?:call|run)/[^/]+", "gradio"),
    (r"/run", "gradio"),
)
"""The first one that fits decides."""

_UNMISTAKABLE = re.compile(r"/chat/completions\Z|/v\d+/(?:completions|responses)\Z")

_COMPILED = tuple((re.compile(f"(?:{end})\\Z"), api) for end, api in _ENDS)


def known_path(path: str) -> KnownPath | None:
    """The API that the end of a path names; None when it names none."""
    for end, api in _COMPILED:
        found = end.search(path)
        if found is not None:
            return KnownPath(api, found[0], place_of(path[: found.start()]))
    return None


def is_unmistakable(path: str) -> bool:
    """True for the end of a path that nobody has but who speaks its API; others are common words."""
    return _UNMISTAKABLE.search(path) is not None


def place_of(prefix: str) -> Place:
    """What a prefix consists of."""
    version = _VERSION.search(prefix)
    if version is None:
        return Place(prefix, prefix, "/v1")
    return Place(prefix, prefix[: version.start()], version[0])

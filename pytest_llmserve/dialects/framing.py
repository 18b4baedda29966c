"""The other forms of a body: JSON lines and one whole JSON; and telling them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pytest_llmserve.dialects.piece import UNPARSABLE
from pytest_llmserve.dialects.sse import EventSplitter, Frame

EVENTS = "events"
LINES = "lines"
WHOLE = "whole"
TEXT = "text"
"""Plain text, which has no framing."""

_LINE_TYPES = {
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
    "application/json-lines",
    "application/stream+json",
}
_BOM = b"\xef\xbb\xbf"
_PAGE_STARTS = (b"<!doctype html", b"<html")
_EVENT_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")


class Framing(Protocol):
    """Splits one body, cut anywhere, into frames.

    Attributes:
        streamed: its frames are the parts of an answer, not the whole of it.
    """

    streamed: bool

    def feed(self, data: bytes) -> Sequence[Frame]:
        """Take the next bytes; return the frames they completed."""

    def close(self) -> Frame | None:
        """What is left at the end of the body, or None."""


def whole_lines(pieces: Sequence[bytes]) -> bytes | None:
    """The lines of pieces of which each is one JSON object and a newline; None when one is anything else."""
    stream = b"".join(pieces)
    plain = [piece for piece in pieces if piece[:1] == b"{" and piece[-1:] == b"\n"]
    if len(plain) != len(pieces) or stream.count(b"\n") != len(pieces):
        return None
    return stream[:-1]


class LineSplitter:
    """Newline-delimited JSON: one frame a line that is not blank."""

    streamed = True

    def __init__(self) -> None:
        self._rest: list[bytes] = []

    @property
    def idle(self) -> bool:
        """Between two lines, nothing kept back."""
        return not any(self._rest)

    def feed(self, data: bytes) -> Sequence[Frame]:
        """Take the next bytes; return the lines they completed."""
        if b"\n" not in data:
            self._rest.append(data)
            return ()
        lines = data.split(b"\n")
        lines[0] = b"".join((*self._rest, lines[0]))
        self._rest = [lines.pop()]
        return [(b"", line) for line in lines if line.strip()]

    def close(self) -> Frame | None:
        """The last line, when no newline ends it."""
        line = b"".join(self._rest)
        return (b"", line) if line.strip() else None


class WholeBody:
    """One JSON text: a single frame, at the end."""

    streamed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> Sequence[Frame]:
        """Keep the bytes."""
        self._pieces.append(data)
        return ()

    def close(self) -> Frame | None:
        """The whole body, or None when it is blank."""
        body = b"".join(self._pieces).removeprefix(_BOM)
        return (b"", body) if body.strip() else None


_KINDS: dict[str, type[EventSplitter] | type[LineSplitter] | type[WholeBody]] = {
    EVENTS: EventSplitter,
    LINES: LineSplitter,
    WHOLE: WholeBody,
}


def framing(kind: str) -> Framing:
    """Make a framing of that kind."""
    return _KINDS[kind]()


def media_type(content_type: str) -> str:
    """A Content-Type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def declared(content_type: str, takes_lines: bool) -> str | None:
    """The kind a Content-Type stands for; None = look at the first bytes.

    JSON is looked at too: an event stream is often mislabelled so, and no JSON begins like one.
    """
    media = media_type(content_type)
    if media == "text/event-stream":
        return EVENTS
    return LINES if takes_lines and media in _LINE_TYPES else None


def is_json(content_type: str) -> bool:
    """True for application/json and its relatives (problem+json and so on)."""
    media = media_type(content_type)
    return media == "application/json" or media.endswith("+json") or media in _LINE_TYPES


def sniff(head: bytes, json_declared: bool) -> str | None:
    """The kind of a body by its first bytes.

    Returns:
        A kind, "" when it is none we know, or None when more bytes are needed.
    """
    start = head.removeprefix(_BOM).lstrip()
    if not start or _BOM.startswith(start):
        return None
    if start.startswith(_EVENT_STARTS):
        return EVENTS
    if any(begin.startswith(start) for begin in _EVENT_STARTS):
        return None
    return WHOLE if json_declared or start[:1] in (b"{", b"[", b'"') else ""


def lines_or_whole(head: bytes) -> str | None:
    """What a body is that begins with "{": LINES, WHOLE, or None while that cannot be known."""
    first, end, rest = head.partition(b"\n")
    if not end:
        return None
    try:
        msgspec.json.decode(first)
    except UNPARSABLE:
        return WHOLE
    return LINES if rest.strip() else None


def lines_or_text(head: bytes) -> str | None:
    """What a body is that begins with "{" and is called text: LINES, TEXT, or None while it may be WHOLE."""
    if lines_or_whole(head) != LINES:
        return None
    return LINES if head.partition(b"\n")[2].lstrip()[:1] == b"{" else TEXT


def events_or_text(head: bytes, over: bool = False) -> str | None:
    """What a body is that begins like events and may be text: EVENTS, TEXT, or None while it may be both.

    Events have one of their fields, or a comment, on each line; text seldom has for more than one.

    Args:
        head: its beginning.
        over: that is all of it.
    """
    text = head.removeprefix(_BOM).lstrip().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    said = False
    *lines, rest = text.split(b"\n")
    for line in (*lines, rest) if over else lines:
        if line[:5] == b"data:" and line[5:].lstrip()[:1] == b"{":
            return EVENTS
        if line and not line.startswith(_EVENT_STARTS):
            return TEXT
        said = said or line.startswith((b"data:", b":"))
        if not line and said:
            return EVENTS
    if not over:
        return None
    return EVENTS if text.startswith(b"data:") or b"\ndata:" in text else TEXT


def no_object(head: bytes) -> bool:
    """True for what begins with "{" and is no JSON."""
    inside = head[1:].lstrip()[:1]
    return inside not in (b"", b'"', b"}")


def may_be_page(head: bytes) -> bool | None:
    """True for an HTML page by its first bytes, None when more bytes are needed."""
    start = head.removeprefix(_BOM).lstrip().lower()
    if start.startswith(_PAGE_STARTS):
        return True
    return None if any(begin.startswith(start) for begin in _PAGE_STARTS) else False

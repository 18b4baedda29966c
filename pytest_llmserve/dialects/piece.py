"""What a dialect reads out of one event or one body, and how it says that it cannot."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

SHOWN_CHARS = 80
_JSON = ("{", "[", '"')
# The text of a field or of a list, to its closing quote or to where the data ends; no name of a field.
_LONG_VALUE = re.compile(r'((?:\A|[:\[,])\s*")(?:[^"\\]|\\.){12,}(?:("(?!\s*:))|\\?\Z)', re.DOTALL)

UNPARSABLE: tuple[type[Exception], ...] = (msgspec.MsgspecError, ValueError, RecursionError)
"""What a JSON parser raises for bytes that are no JSON, no UTF-8, or nested too deep."""


Answer = TypeVar("Answer")


class Unreadable(Exception):
    """The server sent what its API does not allow. The text is the sentence for the record."""


_UNREAD: tuple[type[Exception], ...] = (*UNPARSABLE, Unreadable)


class Piece(msgspec.Struct, gc=False):
    """What one event, one line or one whole body says.

    Attributes:
        text: answer text it adds.
        token: it carries non-empty content, reasoning, refusal or tool-call text.
        finish_reason: why the answer ended, or None.
        ended: it is an end mark other than a finish_reason.
        output_tokens: the server's own count so far, or None.
        error: the server reports an error: its sentence.
        missed: why no answer was found here, or None.
        torn: why it is not all of the answer, although nothing more comes, or None.
        keeps: characters of the text so far that stay before `text`; None = all, as nearly always.
    """

    text: str = ""
    token: bool = False
    finish_reason: str | None = None
    ended: bool = False
    output_tokens: int | None = None
    error: str | None = None
    missed: str | None = None
    torn: str | None = None
    keeps: int | None = None


class Reader(Protocol):
    """The part of a dialect that differs: one for each answer, as it may remember.

    Attributes:
        takes_lines: newline-delimited JSON is one of the API's forms.
    """

    takes_lines: bool

    @property
    def needs_end_mark(self) -> bool:
        """True when a stream that ends without finish_reason or end mark was cut off."""

    def event(self, data: bytes) -> Piece:
        """Read one event or line of a stream. Raises Unreadable."""

    def events(self, lines: bytes) -> list[str | Piece] | None:
        """Read many events at once, their data a line each.

        Returns:
            For each event its piece, or the text alone when the piece holds nothing but that
            token; None when they are better read one by one, which then says what is wrong.
        """

    def body(self, data: bytes) -> Piece:
        """Read a whole unstreamed answer. Raises Unreadable."""


ReadNamed = Callable[[bytes, bytes], Piece]
"""Reads an event that has a name, by name and data; where names mean something a reader has it as `named`."""


def parse_json(data: bytes) -> Any:
    """Parse JSON of any shape.

    Raises:
        Unreadable: not JSON; says why and shows its beginning.
    """
    try:
        return msgspec.json.decode(data)
    except UNPARSABLE as error:
        raise Unreadable(not_json(data, error)) from None


def not_json(data: bytes, error: Exception) -> str:
    """The sentence for bytes that are not JSON."""
    why = "nested too deep" if isinstance(error, RecursionError) else str(error)
    return f"not valid JSON ({why}): {shown(data)}"


def unread(data: bytes, error: Exception) -> Unreadable:
    """The fault of an event or body that did not fit: not JSON, or JSON of wrong types."""
    if isinstance(error, msgspec.ValidationError):
        return Unreadable(f"not what the API promises ({error})")
    return Unreadable(not_json(data, error))


def read_lines(
    lines: bytes,
    decode: Callable[[bytes], list[Answer]],
    token_text: Callable[[Answer], str | None],
    event: Callable[[bytes], Piece],
) -> list[str | Piece] | None:
    """Read many events, one a line; see `Reader.events`.

    Args:
        lines: the data of the events.
        decode: reads all lines.
        token_text: the text of an event that is a plain token, None or "" for any other.
        event: reads any event.
    """
    try:
        answers = decode(lines)
        texts = [token_text(answer) for answer in answers]
        if len(texts) != lines.count(b"\n") + 1:  # two on a line, or one over two
            return None
        if all(texts):
            return texts  # type: ignore[return-value]  # no None among them
        return [text or event(line) for text, line in zip(texts, lines.split(b"\n"), strict=True)]
    except _UNREAD:
        return None


def shown(data: bytes) -> str:
    """The first 80 characters, quoted, for an error sentence; of JSON without its longer texts.

    What does not read as an answer may hold one all the same.
    """
    text = data[: SHOWN_CHARS * 4].decode("utf-8", "replace")
    cut = len(text) > SHOWN_CHARS
    if text.lstrip()[:1] in _JSON or text.startswith("data:"):
        text = _LONG_VALUE.sub(r"\1[text]\2", text)
    return repr(text[:SHOWN_CHARS]) + ("..." if cut else "")


def keys_of(value: Any) -> str:
    """Say what was sent instead of the expected: "the keys id, model"."""
    if isinstance(value, dict):
        names = [str(key)[:40] for key in list(value)[:10]]
        return "the keys " + ", ".join(names) + (", ..." if len(value) > 10 else "") if names else "{}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"a bare {'null' if value is None else type(value).__name__}"

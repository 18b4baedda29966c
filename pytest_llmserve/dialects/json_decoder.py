"""Decodes what servers of no known API send: JSON in one piece or in lines, events, or plain text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Protocol

import msgspec

from pytest_llmserve.dialects.decoding import header
from pytest_llmserve.dialects.framing import EVENTS, LINES, WHOLE, is_json, media_type, sniff
from pytest_llmserve.dialects.growing import GrowingDecoder, GrowingReader
from pytest_llmserve.dialects.piece import UNPARSABLE, Piece
from pytest_llmserve.domain.exchange import Decoded, Ending

_TEXT_TYPES = ("text/plain", "text/markdown", "")
_MOST_BLANKS = 64  # kept before a text; some servers send blanks while they think


class JsonAnswerReader(GrowingReader, Protocol):
    """The reader of the `json` dialect.

    Attributes:
        takes_text: the answer may be plain text: no place in JSON was named for it.
    """

    takes_text: bool


class JsonDecoder(GrowingDecoder):
    """As `AnswerDecoder`, and knows two more forms by what is sent.

    Plain text, by its Content-Type or for want of one: each piece of a body without Content-Length is a
    chunk of tokens. JSON lines that are called JSON: known when a second line begins behind a whole
    first one; their stamps are those of their bytes all the same.
    """

    def __init__(self, reader: JsonAnswerReader, status: int, headers: Sequence[tuple[str, str]]) -> None:
        super().__init__(reader, status, headers)
        media = media_type(self._content_type)
        self._may_be_text = reader.takes_text and media in _TEXT_TYPES
        self._sized = bool(header(headers, "content-length"))
        self._utf8: codecs.IncrementalDecoder | None = None
        self._whole_text: list[str] = []
        self._held: list[tuple[int, bytes]] = []

    def finish(self, ending: Ending) -> Decoded:
        """Say what the answer was. Called once, after the last `feed`."""
        if self._may_be_text and self._head.strip():  # too short to be known as anything else
            self._begin_text()
        self._head = b"" if self._may_be_text else self._head
        if self._held:
            self._settle(WHOLE)
        if self._utf8 is not None and not self._deaf:
            self._end_text(self._utf8)
        return super().finish(ending)

    def _recognise(self, stamp_ns: int, data: bytes) -> str:
        """Hold bytes back until they show which form the body has."""
        if self._utf8 is not None:
            return self._say(stamp_ns, data, self._utf8)
        if self._held:
            return self._hold(stamp_ns, data)
        head = self._head + data
        kind = sniff(head, is_json(self._content_type))
        if self._may_be_text and kind != EVENTS and head.lstrip()[:1] != b"{":
            self._head = head if head.strip() else head[-_MOST_BLANKS:]
            return "" if kind is None else self._begin_text(stamp_ns)
        if kind == WHOLE and head.lstrip()[:1] == b"{":
            self._head = b""
            return self._hold(stamp_ns, head.lstrip())
        return super()._recognise(stamp_ns, data)

    def _begin_text(self, stamp_ns: int | None = None) -> str:
        """Know the body for plain text, and take its beginning."""
        head, self._head = self._head, b""
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._tally.streamed = not self._sized
        return self._say(self._last_ns if stamp_ns is None else stamp_ns, head, self._utf8)

    def _say(self, stamp_ns: int, data: bytes, utf8: codecs.IncrementalDecoder) -> str:
        """Take a piece of plain text."""
        try:
            text = utf8.decode(data)
        except UnicodeDecodeError as error:
            self._refuse(f"the text is not UTF-8: {error.reason}")
            return ""
        if self._sized:
            self._whole_text.append(text)
            return ""
        return self._tally.add(stamp_ns, Piece(text, token=True)) if text else ""

    def _end_text(self, utf8: codecs.IncrementalDecoder) -> None:
        if utf8.getstate()[0]:
            self._tally.torn = "the text ended inside a character"
        text = "".join(self._whole_text)
        if text:
            self._tally.add(self._last_ns, Piece(text, token=True))

    def _hold(self, stamp_ns: int, data: bytes) -> str:
        """Keep pieces until it shows whether they are one JSON or lines of it."""
        self._held.append((stamp_ns, data))
        # Only a line end, or what comes behind one, can tell.
        if b"\n" not in data and b"\n" not in self._held[-2:][0][1]:
            return ""
        kind = lines_or_whole(b"".join([piece for _, piece in self._held]))
        return "" if kind is None else self._settle(kind)

    def _settle(self, kind: str) -> str:
        """Read what was held in that form."""
        held, self._held = self._held, []
        made = self._frame_as(kind)
        return "".join(
            [self._take(stamp_ns, *frame) for stamp_ns, piece in held for frame in made.feed(piece)]
        )


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

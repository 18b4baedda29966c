"""Decodes what servers of no known API send: JSON in one piece or in lines, events, or plain text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Protocol

from pytest_llmserve.dialects.decoding import header
from pytest_llmserve.dialects.framing import (
    EVENTS,
    TEXT,
    events_or_text,
    is_json,
    lines_or_text,
    may_be_page,
    media_type,
    no_object,
    sniff,
)
from pytest_llmserve.dialects.growing import GrowingDecoder, GrowingReader
from pytest_llmserve.dialects.piece import Piece, Unreadable
from pytest_llmserve.domain.exchange import Decoded, Ending

_TEXT_TYPES = ("text/plain", "text/markdown")
_MOST_BLANKS = 64  # kept before a text; some servers send blanks while they think


class JsonAnswerReader(GrowingReader, Protocol):
    """The reader of the `json` dialect.

    Attributes:
        takes_text: the answer may be plain text: no place in JSON was named for it.
    """

    takes_text: bool


class JsonDecoder(GrowingDecoder):
    """As `AnswerDecoder`, and knows plain text, by its Content-Type or for want of one.

    Each piece of a text without Content-Length is a chunk of tokens. What is called so, or nothing, may be
    events or JSON all the same: by its first bytes, and if it is called text, as long as it has their form.
    """

    def __init__(self, reader: JsonAnswerReader, status: int, headers: Sequence[tuple[str, str]]) -> None:
        super().__init__(reader, status, headers)
        media = media_type(self._content_type)
        self._body_of = reader.body
        self._is_called_text = reader.takes_text and media in _TEXT_TYPES
        self._may_be_text = self._is_called_text or (reader.takes_text and not media)
        self._sized = bool(header(headers, "content-length"))
        self._utf8: codecs.IncrementalDecoder | None = None
        self._whole_text: list[str] = []

    def finish(self, ending: Ending) -> Decoded:
        """Say what the answer was. Called once, after the last `feed`."""
        if self._may_be_text and self._head.strip():  # too short to be known as anything else
            self._begin_text([(self._last_ns, self._head)])
        self._head = b"" if self._may_be_text else self._head
        if self._held:
            self._settle(self._form_of_all())
        if self._utf8 is not None and not self._deaf:
            self._end_text(self._utf8)
        return super().finish(ending)

    def _recognise(self, stamp_ns: int, data: bytes) -> str:
        """Hold bytes back until they show which form the body has."""
        if self._utf8 is not None:
            return self._say(stamp_ns, data, self._utf8)
        if self._held or not self._may_be_text:
            return super()._recognise(stamp_ns, data)
        head = self._head + data
        kind = sniff(head, is_json(self._content_type))
        page = not self._is_called_text and may_be_page(head)
        if kind is None or page is None:
            self._head = head if head.strip() else head[-_MOST_BLANKS:]
            return ""
        start = head.lstrip()
        if page:
            self._may_be_text = False
        elif kind == EVENTS and self._is_called_text:
            self._head = b""
            return self._hold(stamp_ns, start)
        elif kind != EVENTS and (start[:1] != b"{" or (self._is_called_text and no_object(start))):
            self._head = b""
            return self._begin_text([(stamp_ns, head)])
        return super()._recognise(stamp_ns, data)

    def _form(self, head: bytes) -> str | None:
        """The form of what is held; None while that cannot be known."""
        if head.lstrip()[:1] != b"{":
            return events_or_text(head)
        return lines_or_text(head) if self._is_called_text else super()._form(head)

    def _form_of_all(self) -> str:
        """The form of what is held at the end of the body: called a text, JSON without an answer is one."""
        body = self._held_bytes()
        if body.lstrip()[:1] != b"{":
            return events_or_text(body, over=True) or TEXT
        return TEXT if self._is_called_text and not self._answers(body) else super()._form_of_all()

    def _answers(self, body: bytes) -> bool:
        try:
            return self._body_of(body).missed is None
        except Unreadable:
            return False

    def _settle(self, kind: str) -> str:
        """Read what was held in that form."""
        if kind != TEXT:
            return super()._settle(kind)
        held, self._held = self._held, []
        return self._begin_text(held)

    def _begin_text(self, held: Sequence[tuple[int, bytes]]) -> str:
        """Know the body for plain text, and take its beginning."""
        self._utf8 = utf8 = codecs.getincrementaldecoder("utf-8")()
        self._tally.streamed = not self._sized
        return "".join([self._say(stamp_ns, piece, utf8) for stamp_ns, piece in held if not self._deaf])

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

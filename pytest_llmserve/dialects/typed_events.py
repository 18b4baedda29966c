"""Streams whose events say by a `type` what they are: OpenAI's responses, Anthropic's messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import msgspec

from pytest_llmserve.dialects.errors import piece_without
from pytest_llmserve.dialects.piece import UNPARSABLE, Piece, parse_json, unread


class TypedEvent(msgspec.Struct, gc=False):
    """An event's data; without a type it is none of the API's."""

    type: str = ""


Event = TypeVar("Event", bound=TypedEvent)
Body = TypeVar("Body", bound=msgspec.Struct)


class TypedReader(ABC, Generic[Event, Body]):
    """Reads one answer of such an API. Lives as long as that answer.

    Args:
        events: reads the data of events, each with its type.
        bodies: reads a whole answer.

    Attributes:
        spoke: a token was read.
    """

    takes_lines = False
    needs_end_mark = True

    def __init__(self, events: msgspec.json.Decoder[Event], bodies: msgspec.json.Decoder[Body]) -> None:
        self._events = events
        self._bodies = bodies
        self.spoke = False

    @abstractmethod
    def said(self, event: Event) -> str | Piece:
        """What an event says; a text stands for a piece with nothing but that token."""

    @abstractmethod
    def told(self, body: Body, data: bytes) -> Piece:
        """What a whole answer says, `data` being its bytes."""

    def event(self, data: bytes) -> Piece:
        """Read one event. Raises Unreadable."""
        try:
            event = self._events.decode(data)
        except UNPARSABLE as error:
            raise unread(data, error) from None
        said = self._said(event)
        if not event.type and said == Piece():
            return Piece(error=piece_without("", parse_json(data)).error)
        return Piece(said, token=True) if isinstance(said, str) else said

    def events(self, lines: bytes) -> list[str | Piece] | None:
        """Read many events at once, their data a line each."""
        try:
            found = self._events.decode_lines(lines)
        except UNPARSABLE:
            return None
        if len(found) != lines.count(b"\n") + 1:  # two on a line, or one over two
            return None
        if not all(event.type for event in found):
            return None
        return [self._said(event) for event in found]

    def body(self, data: bytes) -> Piece:
        """Read a whole answer. Raises Unreadable."""
        try:
            return self.told(self._bodies.decode(data), data)
        except UNPARSABLE as error:
            raise unread(data, error) from None

    def _said(self, event: Event) -> str | Piece:
        said = self.said(event)
        self.spoke = self.spoke or isinstance(said, str) or said.token
        return said

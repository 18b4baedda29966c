"""A body whose head lies about its length."""

from __future__ import annotations

import re
from typing import Any

from pytest_llmserve.domain.errors import SetupError

Length = int | str

_SENDABLE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")  # RFC 9110 5.5: a field's value
_NUMBER = re.compile(r"[0-9]+\Z")


class WrongLength(bytes):
    """Bytes that are sent behind a Content-Length of your choice: ``WrongLength(b"{}", content_length=100)``.

    As a value they are the bytes behind the head, and equal to them.

    Args:
        body: what is sent, chunks and all, where `transfer_encoding` says so.
        content_length: the header's value as it is written; several of them in a tuple, each in a line of
            its own; None = the header is left out.
        transfer_encoding: a header beside it.

    Raises:
        SetupError: a value is of another type, or cannot stand in a header.
    """

    content_length: Length | tuple[Length, ...] | None
    transfer_encoding: str | None

    def __new__(
        cls,
        body: bytes,
        content_length: Length | tuple[Length, ...] | None,
        transfer_encoding: str | None = None,
    ) -> WrongLength:
        """Check what is to be sent."""
        made = super().__new__(cls, body)
        made._shown = repr(body)
        made.content_length, made.transfer_encoding = content_length, transfer_encoding
        for name, value in (("content_length", each) for each in made._lengths):
            _check(name, value)
        if transfer_encoding is not None:
            _check("transfer_encoding", transfer_encoding)
        return made

    _shown: str

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """(name, value) pairs that tell the length, as they are sent."""
        coding = () if self.transfer_encoding is None else (("Transfer-Encoding", self.transfer_encoding),)
        return (*coding, *(("Content-Length", str(each)) for each in self._lengths))

    @property
    def promised_bytes(self) -> int | None:
        """How long the body is by its head; None where that says nothing, or contradicts itself."""
        if self.transfer_encoding is not None or len(self._lengths) != 1:
            return None
        said = str(self._lengths[0])
        return int(said) if _NUMBER.match(said) and len(said) < 100 else None

    @property
    def _lengths(self) -> tuple[Length, ...]:
        told = self.content_length
        return () if told is None else told if isinstance(told, tuple) else (told,)

    def __repr__(self) -> str:
        coding = "" if self.transfer_encoding is None else f", transfer_encoding={self.transfer_encoding!r}"
        return f"WrongLength({self._shown}, content_length={self.content_length!r}{coding})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return bytes(self), self.content_length, self.transfer_encoding

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 - what hypothesis asks for
        printer.text(repr(self))


def _check(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise SetupError(f"WrongLength: {name}={value!r}: give a number, a text, or several in a tuple")
    if not _SENDABLE.match(str(value)):
        raise SetupError(f"WrongLength: {name}={value!r} holds a character that no header can carry")

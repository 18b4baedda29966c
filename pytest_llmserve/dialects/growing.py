"""Pieces of an answer from servers of which some send the new text, and some all text so far."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from typing import Protocol

import msgspec

from pytest_llmserve.dialects.decoding import AnswerDecoder
from pytest_llmserve.dialects.piece import Reader
from pytest_llmserve.domain.exchange import Decoded, Ending
from pytest_llmserve.domain.outcome import OK

_HALF = "\N{REPLACEMENT CHARACTER}"
"""What servers write at the end of a text for a character whose bytes have not all come."""


class Growing:
    """Tells the two manners apart. Lives as long as one answer.

    New text is what APIs promise, and by chance a piece may begin with the one before it: "1", "10".
    So all text so far is believed only when two pieces running each begin with the whole of the piece
    before and add to it; the same piece again decides nothing, nor does one that adds to blanks. Until
    then all but the first piece is held back. Of new text, a piece that is all of the text before it,
    of two pieces or more, is held back too: where no text follows, it only repeats the answer.

    Attributes:
        none: which of the pieces that were called tokens turned out to be none, counted from 0.
    """

    def __init__(self) -> None:
        self.none: list[int] = []
        self._adds: bool | None = None
        self._tokens = 0
        self._undecided: list[str] = []
        self._grown = 0
        self._given = ""  # of all text so far, what was given out
        self._last = ""
        self._new: list[str] = []  # pieces of new text
        self._new_chars = 0
        self._repeats: list[tuple[int, str]] = []

    def add(self, text: str) -> tuple[str, bool]:
        """Take the text of a piece; return what is new by now, and whether the piece adds to the answer."""
        if not text:
            return "", False
        if self._adds:
            new, token = self._added(self._tokens, text), True
        elif self._adds is None:
            new, token = self._weighed(text), True
        else:
            new, token = self._beyond(text)
        self._tokens += token
        return new, token

    def close(self) -> str:
        """The text that was held back and is a part of the answer now that nothing more comes."""
        if self._adds is False:
            return self._last[len(self._last.rstrip(_HALF)) :]
        text = self._as_new() if self._adds is None else ""
        self.none += [at for at, _ in self._repeats]
        return text

    def _weighed(self, text: str) -> str:
        """Take a piece while the manner is not known."""
        self._undecided.append(text)
        whole = text.rstrip(_HALF)
        if len(self._undecided) == 1:
            self._given = self._last = whole
            return whole
        if not whole.startswith(self._last):
            return self._as_new()
        self._grown += bool(self._last.strip()) and len(whole) > len(self._last)
        self._last = whole
        if self._grown < 2:
            return ""
        self._adds = False
        pieces = self._undecided
        self.none = [at for at in range(1, len(pieces)) if pieces[at] == pieces[at - 1]]
        return self._beyond(text)[0]

    def _as_new(self) -> str:
        """All pieces were new text: what of it was not given out."""
        self._adds = True
        text = "".join([self._added(at, piece) for at, piece in enumerate(self._undecided)])
        return text[len(self._given) :]

    def _added(self, at: int, text: str) -> str:
        """Take a piece of new text, the token of that number."""
        if len(text) == self._new_chars and len(self._new) > 1 and text == "".join(self._new):
            self._repeats.append((at, text))
            return ""
        if self._repeats:  # text follows, so they were text
            text = "".join([*(held for _, held in self._repeats), text])
            self._repeats = []
        self._new.append(text)
        self._new_chars += len(text)
        return text

    def _beyond(self, text: str) -> tuple[str, bool]:
        """Take all text so far."""
        whole = text.rstrip(_HALF)
        new = whole[len(os.path.commonprefix((self._given, whole))) :]  # noqa: RUF071
        token = bool(new) or (text != whole and text != self._last)
        self._given, self._last = whole, text
        return new, token


class GrowingReader(Reader, Protocol):
    """A reader that turns texts which each hold all so far into what is new."""

    growing: Growing


class GrowingDecoder(AnswerDecoder):
    """Gives text out that the reader held back to the end."""

    def __init__(self, reader: GrowingReader, status: int, headers: Sequence[tuple[str, str]]) -> None:
        super().__init__(reader, status, headers)
        self._growing = reader.growing

    def _judged(self, ending: Ending) -> Decoded:
        """The whole answer. Of one that broke off nobody knows what the last piece meant."""
        text = self._growing.close()
        for at in reversed(self._growing.none):
            del self._tally.token_ns[at]
        decoded = super()._judged(ending)
        return (
            decoded if decoded.outcome != OK else msgspec.structs.replace(decoded, text=decoded.text + text)
        )

"""Pieces of an answer from servers of which some send the new text, and some all text so far."""

from __future__ import annotations

import os.path


class Growing:
    """Tells the two manners apart. Lives as long as one answer.

    New text is what APIs promise, and by chance a piece may begin with the one before it: "1", "10".
    So all text so far is believed only when two pieces running each begin with the whole of the piece
    before and add to it. The first of the two is held back until the next one decides.

    Attributes:
        held: text held back; at the end of the answer it is a part of it.
    """

    def __init__(self) -> None:
        self.held = ""
        self._last = ""
        self._adds: bool | None = None

    def add(self, text: str) -> tuple[str, bool]:
        """Take the text of a piece; return what is new by now, and whether the piece adds to the answer."""
        if self._adds or not text:
            return text, bool(text)
        if self._adds is None:
            return self._undecided(text), True
        # A character whose bytes had not all come may have been written as another before.
        new = text[len(os.path.commonprefix((self._last, text))) :]  # noqa: RUF071
        self._last = text
        return new, bool(new)

    def _undecided(self, text: str) -> str:
        if not self._last:
            self._last = text
            return text
        before = self.held or self._last
        grows = len(text) > len(before) and text.startswith(before)
        if grows and not self.held:
            self.held = text
            return ""
        held, self.held = self.held, ""
        self._adds = not grows
        if self._adds:
            return held + text
        new, self._last = text[len(self._last) :], text
        return new

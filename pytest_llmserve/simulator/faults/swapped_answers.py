"""Answers that change places."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault, Part, Stream, within


@dataclass
class SwappedAnswers(Fault):
    """Now and then two requests under way at once get each other's answer ("wrong slots", llama.cpp).

    A streamed answer is exchanged with the next one to begin before its first token is due. An answer in
    one piece cannot be called back: the one asked for after it gets it too.

    Attributes:
        share: of the requests whose answer is exchanged, if there is another one to exchange it with.
    """

    share: float = within(0.05, 0, 1)

    def __post_init__(self) -> None:
        self._last: Asked | None = None
        self._open: _Open | None = None

    def asked(self, asked: Asked) -> None:
        last, self._last = self._last, None if asked.stream else asked
        alone = last is None or asked.stream or asked.active < 2
        if last is not None and not alone and self.chance(asked.number, self.share):
            asked.text = last.text

    def streamed(self, asked: Asked, stream: Stream) -> None:
        now_s = time.monotonic()
        other, self._open = self._open, None
        if other is not None and other.face == asked.face and now_s < other.until_s:
            other.parts[:], stream.parts[:] = stream.parts[:], other.parts[:]
        elif self.chance(asked.number, self.share):
            due_ms = next((part.due_ms for part in stream.parts if part.tokens), 0.0)
            self._open = _Open(asked.face, stream.parts, now_s + due_ms / 1000)


@dataclass
class _Open:
    """A stream whose first token was not sent yet; the server reads `parts` as it sends them."""

    face: str
    parts: list[Part]
    until_s: float

"""Words of one request in another's answer."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault, within

MARK = re.compile(rb"\[[0-9a-f]{8}\]")


@dataclass
class CanaryBleed(Fault):
    """Now and then an answer holds words of another request's prompt ("response leak", vLLM).

    What it holds is the first "[8 hex digits]" of that prompt.

    Attributes:
        share: of the answers that do.
        aborted: only words of requests whose clients left (Ollama: aborts and concurrency).
        lately: so many requests are remembered.
    """

    share: float = within(0.05, 0, 1)
    aborted: bool = False
    lately: int = within(8, 1, 10**6)

    def __post_init__(self) -> None:
        self._marks: deque[str] = deque(maxlen=self.lately)

    def asked(self, asked: Asked) -> None:
        mark = _mark_of(asked)
        others = [other for other in self._marks if other != mark]
        if others and self.chance(asked.number, self.share):
            asked.text = f"{others[-1]} {asked.text}"
        if mark is not None and not self.aborted:
            self._marks.append(mark)

    def left(self, asked: Asked) -> bool:
        mark = _mark_of(asked)
        if mark is not None and self.aborted:
            self._marks.append(mark)
        return True


def _mark_of(asked: Asked) -> str | None:
    found = MARK.search(asked.prompt.encode(errors="replace")) or MARK.search(asked.raw)
    return None if found is None else found[0].decode()

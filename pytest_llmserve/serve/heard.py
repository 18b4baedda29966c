"""What is heard of a server through the questions that a test asks it by itself. Pure."""

from __future__ import annotations

from pytest_llmserve.domain.exchange import COMPLETE, TIME_LIMIT
from pytest_llmserve.domain.units import NS_PER_S


class Heard:
    """Follows the questions as they end. Mutable.

    Attributes:
        failed: those that were not answered to the end.
        heard_ns: when one was answered last, monotonic; 0 = never.
        silence: (from, to): the first question since then was asked, the last one ended; None where none was.
        slowest_s: the longest that an answer took.
    """

    def __init__(self) -> None:
        self.failed = 0
        self.heard_ns = 0
        self.silence: tuple[int, int] | None = None
        self.slowest_s = 0.0

    def ended(self, how: str, status: int | None, asked_ns: int, end_ns: int) -> None:
        """Take the end of a question.

        Args:
            how: it ended, a word of `domain.exchange`.
            status: of its answer; None = not a word came.
            asked_ns: when it was asked.
            end_ns: when it ended.
        """
        if how == COMPLETE:
            self.slowest_s = max(self.slowest_s, (end_ns - asked_ns) / NS_PER_S)
        else:
            self.failed += 1
        if how == TIME_LIMIT or status is None:
            self.silence = (asked_ns if self.silence is None else min(self.silence[0], asked_ns), end_ns)
        else:
            self.silence, self.heard_ns = None, max(end_ns, self.heard_ns)

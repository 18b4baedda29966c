"""The worker processes of a server: whether those that were there when a load began live to the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pytest_llmserve.observe.program import program_of
from pytest_llmserve.serve.guard import start_mark

Worker = tuple[int, str | None]
"""pid and mark of its start: a later process with the same pid is another one."""


def workers_among(pids: Iterable[int], main: int) -> frozenset[Worker]:
    """Those that run the program of the main process: shells and tools that a server calls come and go."""
    program = program_of(main)
    others = [pid for pid in pids if pid != main and program is not None and program_of(pid) == program]
    return frozenset((pid, mark) for pid in others if (mark := start_mark(pid)) is not None)


class Workers:
    """Follows them through one test. Mutable.

    Args:
        look: finds those that run now.
    """

    def __init__(self, look: Callable[[], frozenset[Worker]]) -> None:
        self._look = look
        self._first = self._there = look()

    def begin_load(self) -> None:
        """Those that are there now have to live to the end of the test too."""
        self._there |= self._look()

    def ended(self) -> tuple[int, int]:
        """How many of those that were there have ended, and in place of how many another one has come."""
        now = self._look()
        gone = len(self._there - now)
        return gone, min(gone, len(now - self._first))

"""What a server's memory rises by in one short case; cheap enough for hundreds of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.observe.memory import MemoryReader, MemorySource

_SETTLE_S = 1.0
_LOOK_S = 0.05


class Jump:
    """Reads RSS before a case and after it; all that is held only where RSS has jumped. Mutable.

    Args:
        source: the server's processes; None = not known.
        missing: why they are not.
    """

    def __init__(self, source: MemorySource | None, missing: str | None) -> None:
        self._source = source
        self.missing = missing or "the server's process is not known"
        self._reader: MemoryReader | None = None
        self._rss = self._held = 0
        if source is not None:
            self._try(self._first)

    def _first(self) -> int:
        assert self._source is not None
        self._reader = MemoryReader(self._source)
        self._held = self._reader()  # a limit is far above the noise of one reading
        return 0

    def before(self) -> None:
        """A case is about to begin."""
        self._try(self._note)

    def _note(self) -> int:
        self._rss = self._now()
        return 0

    def after(self, limit_bytes: int, sleep: Callable[[float], None] = time.sleep) -> int | None:
        """What it rose by; None = it can no longer be read, and `missing` says why.

        A rise above the limit may go back for a second. What has only come to be mapped into memory,
        such as weights, is no rise.
        """
        return self._try(lambda: self._rise(limit_bytes, sleep))

    def _rise(self, limit_bytes: int, sleep: Callable[[float], None]) -> int:
        rise, waited_s = self._now() - self._rss, 0.0
        while rise > limit_bytes and waited_s < _SETTLE_S:
            sleep(_LOOK_S)
            waited_s += _LOOK_S
            rise = self._now() - self._rss
        if rise <= limit_bytes or self._reader is None:
            return rise
        held_before, self._held = self._held, self._reader()
        return min(rise, self._held - held_before)

    def _now(self) -> int:
        value = None if self._source is None else self._source.memory_bytes(full=False)
        if value is None:
            raise ProbeLost("the server's memory (RSS) cannot be read")
        return value

    def _try(self, read: Callable[[], int]) -> int | None:
        """Do it; once it has failed, nothing more is read."""
        if self._source is None:
            return None
        try:
            return read()
        except ProbeLost as lost:
            self._source, self.missing = None, str(lost)
            return None

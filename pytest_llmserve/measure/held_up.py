"""How long this process was kept from running: a thread that wants to run every other millisecond tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

from pytest_llmserve.domain.units import NS_PER_S

_EVERY_NS = 2_000_000
_SLACK_NS = 500_000
"""A timer on a quiet machine is late by less; Linux takes 50 us of slack by itself."""
_END_LIMIT_S = 2.0


class HeldUp:
    """A thread for as long as the `with` statement lasts. Mutable: the time lost so far, in ns."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._ns = 0
        self._asleep_ns = time.monotonic_ns()
        self._thread = threading.Thread(target=self._run, name="llmserve-held-up", daemon=True)

    def lap(self) -> Callable[[], float]:
        """Begin to count; what is returned tells the share of the time since then that was lost, 0 to 1."""
        began_ns, lost_ns = time.monotonic_ns(), self._lost_ns(time.monotonic_ns())

        def share() -> float:
            now_ns = time.monotonic_ns()
            lost = (self._lost_ns(now_ns) - lost_ns) / max(1, now_ns - began_ns)
            return min(1.0, max(0.0, lost))

        return share

    def _lost_ns(self, now_ns: int) -> int:
        """With a delay that has not ended."""
        return self._ns + delay_ns(self._asleep_ns, now_ns)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(_END_LIMIT_S)

    def _run(self) -> None:
        self._asleep_ns = time.monotonic_ns()
        while not self._over.wait(_EVERY_NS / NS_PER_S):
            now_ns = time.monotonic_ns()
            self._ns += delay_ns(self._asleep_ns, now_ns)
            self._asleep_ns = now_ns


def delay_ns(began_ns: int, woken_ns: int) -> int:
    """How much too late a thread was woken that began to sleep then; 0 for what any timer is late."""
    late_ns = woken_ns - began_ns - _EVERY_NS
    return late_ns if late_ns > _SLACK_NS else 0

"""The machine this runs on: its CPU, and the memory that it could still give."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pytest_llmserve.domain.samples import HOST
from pytest_llmserve.domain.units import NS_PER_MS
from pytest_llmserve.observe.metrics_text import busy_percent

EVERY_NS = 150 * NS_PER_MS
"""The system counts CPU in steps of 10 ms: closer together the share of a core is coarse."""


class Host:
    """Reads this machine through psutil. Mutable: the reading before.

    Args:
        clock: monotonic, in ns.
    """

    source = HOST
    missing: str | None = None

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._read_ns: int | None = None
        self._before: tuple[float, float] | None = None

    def read(self, full: bool) -> dict[str, Any]:  # noqa: ARG002 - both cost the same
        """CPU since the reading before, which the first has none of; nothing when that was just now."""
        import psutil

        now_ns = self._clock()
        if self._read_ns is not None and now_ns - self._read_ns < EVERY_NS:
            return {}
        self._read_ns = now_ns
        told: dict[str, Any] = {"host_available_bytes": psutil.virtual_memory().available}
        now = idle_and_all(psutil.cpu_times())
        percent = None if self._before is None else busy_percent(self._before, now)
        self._before = now
        return told if percent is None else {**told, "host_cpu_percent": percent}

    def close(self) -> None:
        """Nothing is held."""


def idle_and_all(times: Any) -> tuple[float, float]:
    """Idle seconds of all cores, and all seconds, of psutil's `cpu_times`.

    Waiting for a disk is idle; a guest's time is in the user's already (Linux, man proc: /proc/stat).
    """
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    return idle_s, sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)

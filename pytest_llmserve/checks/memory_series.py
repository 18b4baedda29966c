"""The server's memory through a run, over the work done or the time passed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from pytest_llmserve.checks.wording import amount
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import HELD, RSS, USS_AND_SWAP, ResourceSample
from pytest_llmserve.domain.units import BYTES_PER_MB, NS_PER_S
from pytest_llmserve.stats.growth import LEAST_READINGS, growth_of

if TYPE_CHECKING:
    from pytest_llmserve.stats.growth import Growth

PAGE_MB = 4096 / BYTES_PER_MB
"""The least step in which memory grows."""
NS_PER_HOUR = 3600 * NS_PER_S

HOST, GPU = "host", "gpu"


@dataclass(frozen=True)
class MemorySeries:
    """Readings in the steady window of a run, in their order.

    Attributes:
        measure: what was read: a measure of `domain.samples`, or what GPU memory.
        at_ns: monotonic clock.
        mb: the readings.
        ended: how many requests had ended by then, those of the warm-up too.
        shared: what is said of growth that is at least half shared memory; else empty.
    """

    measure: str
    at_ns: tuple[int, ...]
    mb: tuple[float, ...]
    ended: tuple[int, ...]
    shared: str = ""

    @property
    def span_ns(self) -> int:
        """From the first reading to the last."""
        return self.at_ns[-1] - self.at_ns[0] if self.at_ns else 0

    @property
    def requests(self) -> int:
        """Requests that ended between the first reading and the last."""
        return self.ended[-1] - self.ended[0] if self.ended else 0

    @property
    def last_mb(self) -> float:
        """The level at the end: median of the last quarter of the readings."""
        return median(self.mb[-max(1, len(self.mb) // 4) :])

    def over_requests(self, unit: float) -> Growth | None:
        """Growth in MB for each `unit` requests that ended; None below 12 readings or when none ended."""
        return _growth([ended / unit for ended in self.ended], self.mb)

    def over_hours(self) -> Growth | None:
        """Growth in MB an hour; None below 12 readings."""
        return _growth([(at_ns - self.at_ns[0]) / NS_PER_HOUR for at_ns in self.at_ns], self.mb)


def memory_series(run: LoadResult, where: str = HOST) -> MemorySeries:
    """What was read of the server's memory while the run was steady; in a short run, of all of it."""
    samples = _steady(run)
    if where == GPU:
        measure, read = run.resources.gpu or "GPU memory", [(s, s.gpu_bytes) for s in samples]
    else:
        measure, read = _measured(samples)
    told = [(s.at_ns, size / BYTES_PER_MB) for s, size in read if size is not None]
    grown_mb = told[-1][1] - told[0][1] if told else 0.0
    ends = sorted(r.end_ns for r in run.everything if r.end_ns is not None)
    return MemorySeries(
        measure=measure,
        at_ns=tuple(at_ns for at_ns, _ in told),
        mb=tuple(mb for _, mb in told),
        ended=tuple(bisect_right(ends, at_ns) for at_ns, _ in told),
        shared=shared_rise(samples, grown_mb) if measure == HELD else "",
    )


def shared_rise(samples: Sequence[ResourceSample], grown_mb: float) -> str:
    """What a sentence says of growth that is at least half shared memory: "shared memory grew by 40.0 MB".

    Args:
        samples: from where memory began to grow to where it no longer did.
        grown_mb: by how much memory grew.
    """
    told = [sample.shared_bytes for sample in samples if sample.shared_bytes is not None]
    rise_mb = (told[-1] - told[0]) / BYTES_PER_MB if told else 0.0
    return f"shared memory grew by {amount(rise_mb)} MB" if rise_mb >= max(1.0, grown_mb / 2) else ""


def _measured(samples: Sequence[ResourceSample]) -> tuple[str, list[tuple[ResourceSample, int | None]]]:
    """The fullest measure that all full readings have: never one of some and another of others."""
    full = [s for s in samples if s.memory_bytes is not None]
    if not full:
        return RSS, [(s, s.rss_bytes) for s in samples]
    if all(s.held_bytes is not None for s in full):
        return HELD, [(s, s.held_bytes) for s in full]
    return USS_AND_SWAP, [(s, s.memory_bytes) for s in full]


def _steady(run: LoadResult) -> tuple[ResourceSample, ...]:
    start_ns, stop_ns = run.steady_ns
    samples = sorted(run.resources.samples, key=lambda sample: sample.at_ns)
    within = tuple(s for s in samples if start_ns <= s.at_ns <= stop_ns)
    if len(within) >= LEAST_READINGS:
        return within
    begun = [r.sent_ns for r in run.requests if r.sent_ns is not None]
    ended = [r.end_ns for r in run.requests if r.end_ns is not None]
    if not begun or not ended:
        return within
    return tuple(s for s in samples if min(begun) <= s.at_ns <= max(ended))


def _growth(x: list[float], mb: tuple[float, ...]) -> Growth | None:
    if len(x) < LEAST_READINGS or x[-1] <= x[0]:
        return None
    return growth_of(x, mb, PAGE_MB)

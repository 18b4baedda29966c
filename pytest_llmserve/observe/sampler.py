"""Reads a probe on a fixed grid of time, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import FIGURES, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S

MOST_SAMPLES = 20_000

FULL_SHARE = 0.01
"""Of a core, for full readings beyond those that are always taken."""
HURRY_CPU_S = 0.1
HURRY_NS = 3 * NS_PER_S
HURRY_PERIOD_NS = 25 * NS_PER_MS
"""At the beginning of a run: so close together, until so much CPU or time is spent."""


class Sampler:
    """Samples through a test; never raises from its thread.

    Mutable state, guarded by one lock: the samples kept, the reason there are no more, and
    the period, which doubles each time the samples are thinned.

    Args:
        read: takes one reading; True asks for the costly figures too. Raises ProbeLost when
            there is nothing more to read.
        period_ns: from one reading to the next.
        full_every: every so many readings are full ones at least, the first among them; all of them
            as long as full readings take no more than 1 % of a core.
        most_samples: beyond this, every second sample is dropped; peaks are kept.
        cpu_s: CPU seconds of the calling thread.
    """

    def __init__(
        self,
        read: Callable[[bool], ResourceSample],
        period_ns: int = 200 * NS_PER_MS,
        full_every: int = 5,
        most_samples: int = MOST_SAMPLES,
        cpu_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self._read = read
        self._period_ns = period_ns
        self._full_every = full_every
        self._most_samples = most_samples
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._hurry = Hurry()
        self._budget = Budget(FULL_SHARE)
        self._cpu_s = cpu_s
        self._thread: threading.Thread | None = None
        self._samples: list[ResourceSample] = []
        self._missing: str | None = None
        self._cost_s = 0.0

    @property
    def missing(self) -> str | None:
        """Why there are no, or no more, samples; None while all is well."""
        return self._missing

    @property
    def latest(self) -> ResourceSample | None:
        """The last sample, or None before the first. Waits for no reading under way."""
        samples = self._samples
        return samples[-1] if samples else None

    @property
    def cost_s(self) -> float:
        """CPU seconds the sampling thread itself has used."""
        return self._cost_s

    @property
    def period_ns(self) -> int:
        """From one reading to the next, as of now."""
        return self._period_ns

    def start(self) -> None:
        """Begin to sample, at once. A sampler runs once."""
        self._thread = threading.Thread(target=self._run, name="llmserve-sampler", daemon=True)
        self._thread.start()

    def stop(self, deadline_s: float = 5.0) -> None:
        """End sampling and wait for the thread; calling it again does nothing.

        Raises:
            ProbeLost: a reading did not return within the deadline.
        """
        self._stopping.set()
        self._woken.set()
        if self._thread is None:
            return
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            raise ProbeLost(f"a resource reading did not return within {deadline_s:g} s")
        self._thread = None

    def hurry(self) -> None:
        """Read more often for a while, from now on: a run begins that may be over in a second."""
        self._hurry.until_ns = time.monotonic_ns() + HURRY_NS
        self._hurry.cpu_left_s = HURRY_CPU_S
        self._woken.set()

    def sample_now(self) -> ResourceSample:
        """Take one full reading now, in the caller's thread, and keep it.

        Raises:
            ProbeLost: there is nothing more to read.
        """
        with self._lock:
            sample = self._read(True)
            self._keep(sample)
        return sample

    def window(self, start_ns: int | None = None, stop_ns: int | None = None) -> ResourceWindow:
        """The samples kept within [start_ns, stop_ns], monotonic clock; None = no bound."""
        with self._lock:
            samples = tuple(self._samples)
            missing = self._missing
        if start_ns is not None:
            samples = tuple(sample for sample in samples if sample.at_ns >= start_ns)
        if stop_ns is not None:
            samples = tuple(sample for sample in samples if sample.at_ns <= stop_ns)
        return ResourceWindow(samples=samples, missing=missing)

    def _run(self) -> None:
        planned_ns = time.monotonic_ns()
        count = 0
        try:
            while not self._wait_until(planned_ns):
                with self._lock:
                    now_ns = time.monotonic_ns()
                    late_ns = max(0, now_ns - planned_ns)
                    planned_ns = min(planned_ns, now_ns)  # woken early: a new grid
                    sample = self._timed(count % self._full_every == 0, now_ns)
                    self._keep(msgspec.structs.replace(sample, late_ns=late_ns))
                    now_ns = time.monotonic_ns()
                    hurried = self._hurry.lasts(now_ns)
                    planned_ns = next_on_grid(
                        planned_ns, now_ns, HURRY_PERIOD_NS if hurried else self._period_ns
                    )
                self._cost_s = time.thread_time()
                count += 1
        except ProbeLost as lost:
            self._missing = str(lost)
        except Exception as error:  # the thread has no one to raise to: `missing` tells the test
            self._missing = f"the resource probe failed: {type(error).__name__}: {error}"

    def _timed(self, due: bool, now_ns: int) -> ResourceSample:
        """A full reading when it is due or cheap, and what it cost."""
        began_s = self._cpu_s()
        full = due or self._hurry.lasts(now_ns) or self._budget.affords(now_ns)
        sample = self._read(full)
        cost_s = self._cpu_s() - began_s
        self._hurry.cpu_left_s -= cost_s
        if full:
            self._budget.spend(cost_s, now_ns)
        return sample

    def _wait_until(self, planned_ns: int) -> bool:
        """True when asked to stop; returns early when asked to hurry."""
        self._woken.wait(max(0, planned_ns - time.monotonic_ns()) / NS_PER_S)
        self._woken.clear()
        return self._stopping.is_set()

    def _keep(self, sample: ResourceSample) -> None:
        self._samples.append(sample)
        if len(self._samples) > self._most_samples:
            self._samples = thinned(self._samples)
            self._period_ns *= 2


class Hurry:
    """Readings close together: for how long, and how much CPU they may still take. Mutable."""

    def __init__(self) -> None:
        self.until_ns = 0
        self.cpu_left_s = 0.0

    def lasts(self, now_ns: int) -> bool:
        """True while there is time and CPU left."""
        return now_ns < self.until_ns and self.cpu_left_s > 0


class Budget:
    """A share of a core, of which one costly reading may be in advance. Mutable.

    Args:
        share: CPU seconds a second.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._free_ns = 0

    def affords(self, now_ns: int) -> bool:
        """True when what was spent so far is within the share of the time since."""
        return now_ns >= self._free_ns

    def spend(self, cost_s: float, now_ns: int) -> None:
        """Take a cost off: so long nothing is afforded."""
        self._free_ns = max(self._free_ns, now_ns) + round(cost_s / self._share * NS_PER_S)


def next_on_grid(planned_ns: int, now_ns: int, period_ns: int) -> int:
    """The first point of the grid after now: readings that come late do not shift those after them."""
    return planned_ns + period_ns * max(1, (now_ns - planned_ns) // period_ns + 1)


def thinned(samples: Sequence[ResourceSample]) -> list[ResourceSample]:
    """Half of the samples, of each two neighbours the fuller, else the first, and the peak of every figure.

    Not the higher: what is kept of the past would then lie above what is read later.
    """
    kept = {_peak_of(samples, field) for field, _ in FIGURES.values()} - {None}
    for first in range(0, len(samples), 2):
        pair = range(first, min(first + 2, len(samples)))
        kept.add(max(pair, key=lambda i: samples[i].uss_bytes is not None))
    return [sample for index, sample in enumerate(samples) if index in kept]


def _peak_of(samples: Sequence[ResourceSample], field: str) -> int | None:
    told = [index for index, sample in enumerate(samples) if getattr(sample, field) is not None]
    return max(told, key=lambda index: float(getattr(samples[index], field)), default=None)

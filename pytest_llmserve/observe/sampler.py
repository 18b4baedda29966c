"""Reads a probe on a fixed grid of time, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import PROCESS, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S
from pytest_llmserve.observe.probe import Hurried, Probe
from pytest_llmserve.observe.series import SampleSeries

MOST_SAMPLES = 10_000
HANGS = "a resource reading did not return within {:g} s"

HELD_UP_SHARE = 0.001
"""Of the time, for full readings. The kernel keeps a process's memory map locked while it counts the pages
of a mapping: a server that asks for memory, or touches new pages, may wait as long. Of what it does in the
meantime no more than one request in a thousand is met."""
JUDGED_SHARE = 0.005
"""Where a check needs them."""
HURRY_CPU_S = 0.1
HURRY_NS = 3 * NS_PER_S
HURRY_PERIOD_NS = 25 * NS_PER_MS
"""At the beginning of a run: so close together, until so much CPU or time is spent."""


class Sampler:
    """Samples through a test; never raises from its thread.

    Mutable state: the samples, why a probe tells nothing more, and the period, which doubles each
    time the samples are thinned; guarded by `_lock`, which is never held while a probe is read.
    Probes are read under `_reading`, by the thread and by `sample_now`.

    Args:
        probes: each is read until it is lost; the thread goes on while one is left.
        period_ns: from one reading to the next.
        memory_judged: a check needs what full readings tell, so these may take 0.5 % of the time, not
            0.1 %, and those of a hurry are full ones.
        most_samples: beyond this, every second sample is dropped; peaks are kept.
        cpu_s: CPU seconds of the calling thread.
        wall_s: seconds, for how long a full reading takes.
        clock: monotonic, in ns.
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        period_ns: int = 200 * NS_PER_MS,
        memory_judged: bool = False,
        most_samples: int = MOST_SAMPLES,
        cpu_s: Callable[[], float] = time.thread_time,
        wall_s: Callable[[], float] = time.perf_counter,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._silent = [probe for probe in probes if probe.missing is not None]
        self._probes = [probe for probe in probes if probe.missing is None]
        self._period_ns = period_ns
        self._most_samples = most_samples
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._hurry = Hurry()
        self._memory_judged = memory_judged
        self._held_up = Budget(JUDGED_SHARE if memory_judged else HELD_UP_SHARE)
        self._full_ns: int | None = None
        self._cpu_s, self._wall_s, self._clock = cpu_s, wall_s, clock
        self._thread: threading.Thread | None = None
        self._series = SampleSeries()
        self._lost: dict[Probe, str] = {}
        self._cost_s = 0.0

    @property
    def absent(self) -> dict[str, str]:
        """Source -> why it tells nothing, or nothing more; empty while all is well."""
        why: dict[str, list[str | None]] = {}
        for probe in (*self._silent, *self._probes):
            why.setdefault(probe.source, []).append(self._lost.get(probe) or probe.missing)
        # Of two probes for one thing, such as a driver and an exporter, one that tells is enough.
        reasons = {source: filter(None, found) for source, found in why.items() if None not in found}
        return {source: text for source, found in reasons.items() if (text := "; ".join(found))}

    def last(self, field: str) -> float | None:
        """What was told last of a field; None where nobody told it lately. Waits for no reading under way."""
        with self._lock:
            return self._series.last(field)

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
        """End sampling, wait for the thread and close the probes; calling it again does nothing.

        Raises:
            ProbeLost: a reading did not return within the deadline.
        """
        self._stopping.set()
        self._woken.set()
        try:
            if self._thread is not None:
                self._thread.join(deadline_s)
                if self._thread.is_alive():
                    raise ProbeLost(HANGS.format(deadline_s))
                self._thread = None
        finally:
            for probe in (*self._silent, *self._probes):
                probe.close()

    def hurry(self) -> None:
        """Read more often for a while, from now on: a run begins that may be over in a second."""
        until_ns = self._hurry.until_ns = self._clock() + HURRY_NS
        for probe in self._probes:
            if isinstance(probe, Hurried):
                probe.hurry(until_ns, HURRY_PERIOD_NS)
        self._hurry.cpu_left_s = HURRY_CPU_S
        self._woken.set()

    def pace(self, period_ns: int) -> None:
        """From now on so far from one reading to the next: a long run needs fewer of them."""
        self._period_ns = period_ns

    def sample_now(self, deadline_s: float = 5.0) -> ResourceSample:
        """Take one full reading now, in the caller's thread, and keep it.

        Raises:
            ProbeLost: there is nothing more to read, or a reading under way does not return in time.
        """
        if not self._reading.acquire(timeout=deadline_s):
            raise ProbeLost(HANGS.format(deadline_s))
        try:
            sample = self._read(True)
        finally:
            self._reading.release()
        self._keep(sample)
        return sample

    def window(self, start_ns: int | None = None, stop_ns: int | None = None) -> ResourceWindow:
        """The samples kept within [start_ns, stop_ns], monotonic clock; None = no bound."""
        with self._lock:
            samples = self._series.since(start_ns, stop_ns)
        absent = self.absent
        missing = absent.pop(PROCESS, None)
        return ResourceWindow(samples=samples, missing=missing, absent=absent, full_ns=self._full_ns)

    def _run(self) -> None:
        planned_ns = self._clock()
        try:
            while not self._wait_until(planned_ns):
                with self._reading:
                    now_ns = self._clock()
                    late_ns = max(0, now_ns - planned_ns)
                    planned_ns = min(planned_ns, now_ns)  # woken early: a new grid
                    sample = self._timed(now_ns)
                self._keep(msgspec.structs.replace(sample, late_ns=late_ns))
                now_ns = self._clock()
                hurried = self._hurry.lasts(now_ns)
                planned_ns = next_on_grid(planned_ns, now_ns, HURRY_PERIOD_NS if hurried else self._period_ns)
                self._cost_s = time.thread_time()
        except ProbeLost:  # each probe has said why
            return
        except Exception as error:  # the thread has no one to raise to: `absent` tells the test
            why = f"the resource probe failed: {type(error).__name__}: {error}"
            self._lost |= {probe: why for probe in self._probes if probe not in self._lost}

    def _timed(self, now_ns: int) -> ResourceSample:
        """A reading, full when that is afforded, and what it cost."""
        began_s = self._cpu_s()
        hurried = self._memory_judged and self._hurry.lasts(now_ns)
        sample = self._read(hurried or self._held_up.affords(now_ns), hurried)
        self._hurry.cpu_left_s -= self._cpu_s() - began_s
        return sample

    def _read(self, full: bool, hurried: bool = False) -> ResourceSample:
        """What all probes tell now. A hurry has time of its own, and delays no full reading after it.

        Raises:
            ProbeLost: none tells anything more.
        """
        told: dict[str, Any] = {}
        held_up_s = 0.0
        why = "there is nothing to read"
        for probe in [probe for probe in self._probes if probe not in self._lost]:
            timed = full and probe.source == PROCESS
            began_s = self._wall_s() if timed else 0.0
            try:
                told |= {} if probe.missing is not None else probe.read(full)
            except ProbeLost as lost:
                self._lost[probe] = why = str(lost)
            held_up_s += self._wall_s() - began_s if timed else 0.0
        if len(self._lost) == len(self._probes):
            raise ProbeLost(why)
        at_ns = self._clock()
        if full:
            self._note_full(held_up_s, at_ns, hurried)
        return ResourceSample(at_ns=at_ns, **told)

    def _note_full(self, took_s: float, now_ns: int, hurried: bool) -> None:
        took_ns = round(took_s * NS_PER_S)
        self._full_ns = took_ns if self._full_ns is None else min(took_ns, self._full_ns)
        if not hurried:
            self._held_up.spend(took_s, now_ns)

    def _wait_until(self, planned_ns: int) -> bool:
        """True when asked to stop; returns early when asked to hurry."""
        self._woken.wait(max(0, planned_ns - self._clock()) / NS_PER_S)
        self._woken.clear()
        return self._stopping.is_set()

    def _keep(self, sample: ResourceSample) -> None:
        with self._lock:
            self._series.append(sample)
            if len(self._series) > self._most_samples:
                self._series.thin()
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
    """A share of the time, of which one costly reading may be in advance. Mutable.

    Args:
        share: seconds a second.
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

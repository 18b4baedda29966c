"""Watching the server through one test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import METRICS, PROCESS, MemoryChange, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S
from pytest_llmserve.measure.probes import Watched, completed, probes_for
from pytest_llmserve.observe.cores import cores_of
from pytest_llmserve.observe.counts import counters
from pytest_llmserve.observe.gpu import GpuProbe, GpuReader
from pytest_llmserve.observe.memory import MemoryReader, memory_change, take_baseline
from pytest_llmserve.observe.process_tree import ProcessTree
from pytest_llmserve.observe.sampler import Sampler

WAY_OUT = "for a server on this machine give --llm-server-pid"


class Watch:
    """Samples the server from `start` to `stop`; one test long.

    Args:
        watched: the server, and where it can be looked at.
        gpu_judged: a run waits for GPU memory to settle too.
        counted: figures that are counted before a run and after it, such as "open_files".
    """

    def __init__(self, watched: Watched, *, gpu_judged: bool = False, counted: tuple[str, ...] = ()) -> None:
        self._gpu_judged, self._counted = gpu_judged, counted
        self.started_ns = time.monotonic_ns()
        self._missing: str | None = None
        self._tree: ProcessTree | None = None
        if watched.pid is None:
            why = watched.why
            self._missing = f"{why}; {WAY_OUT}" if "--llm-server-pid" not in why else why
        else:
            try:
                self._tree = ProcessTree(watched.pid)
            except ProbeLost as lost:
                self._missing = str(lost)
        self._cores = None if self._tree is None else cores_of(self._tree.pid)
        probes = self._probes = probes_for(watched, self._tree)
        self._gpu = next((probe for probe in probes if isinstance(probe, GpuProbe)), None)
        self._sampler = Sampler(probes if self._tree is None else [self._tree, *probes])

    def start(self) -> None:
        """Begin to sample."""
        self._sampler.start()

    def stop(self) -> None:
        """End sampling.

        Raises:
            ProbeLost: a reading hangs.
        """
        self._sampler.stop()

    def hurry(self) -> None:
        """A run begins that may be short: read more often for a while."""
        self._sampler.hurry()

    def pace(self, duration_ns: int | None) -> None:
        """A run of so long begins: long ones are read less often."""
        self._sampler.pace(period_of(duration_ns))

    def window(self, start_ns: int | None = None, stop_ns: int | None = None) -> ResourceWindow:
        """The samples so far."""
        window = self._sampler.window(start_ns, stop_ns)
        window = msgspec.structs.replace(window, missing=window.missing or self._missing, cores=self._cores)
        return completed(window, self._probes)

    def now(self) -> dict[str, Any]:
        """What a line of progress tells of the server, fields of `LoadProgress`.

        Nothing is read now; None before the first reading, and once a source is lost.
        """
        absent = self._sampler.absent
        return {
            "server_rss_bytes": None if PROCESS in absent else self._sampler.last("rss_bytes"),
            "server_waiting": None if METRICS in absent else self._sampler.last("waiting"),
        }

    def sample_now(self) -> ResourceSample | None:
        """One more full sample, or None when there is nothing to read: `window` tells why."""
        try:
            return self._sampler.sample_now()
        except ProbeLost:
            return None

    def memory(self) -> MemoryWatch:
        """A memory reading for one run that is about to begin."""
        gpu = None if self._gpu is None or not self._gpu_judged else GpuReader(self._gpu)
        return MemoryWatch(self._tree, self._missing, gpu, self._counted)


_PERIODS = ((3600 * NS_PER_S, 2 * NS_PER_S), (600 * NS_PER_S, NS_PER_S), (0, 200 * NS_PER_MS))


def period_of(duration_ns: int | None) -> int:
    """From one sample to the next, for a run of this length; None = not known."""
    return next(period_ns for least_ns, period_ns in _PERIODS if (duration_ns or 0) >= least_ns)


class MemoryWatch:
    """Memory before a run and after it. Losing the server is told in the change, never raised."""

    def __init__(
        self,
        tree: ProcessTree | None,
        missing: str | None,
        gpu: GpuReader | None = None,
        counted: tuple[str, ...] = (),
    ) -> None:
        self._missing = missing
        self._gpu = gpu
        self._gpu_missing = "GPU memory was not read before the run"
        self._gpu_before: tuple[int, ...] = ()
        self._reader: MemoryReader | None = None
        self._before: tuple[int, ...] = ()
        self._counters = [] if tree is None else counters(counted, tree.counts)
        if tree is not None:
            try:
                self._reader = MemoryReader(tree)
            except ProbeLost as lost:
                self._missing = str(lost)

    def take_baseline(self) -> None:
        """Read memory now, as what it was before."""
        if self._reader is not None:
            try:
                self._before = take_baseline(self._reader)
            except ProbeLost as lost:
                self._missing = str(lost)
        if self._gpu is not None and self._before:
            try:
                self._gpu.settle()
                self._gpu_before = take_baseline(self._gpu)
            except ProbeLost as lost:
                self._gpu_missing = str(lost)

    def change(self, settle_ns: int, sleep: Callable[[float], None] = time.sleep) -> MemoryChange:
        """Wait until memory has settled and say how it changed; what `sleep` raises is passed on."""
        if self._reader is None or not self._before:
            missing = self._missing or "the run ended before its memory baseline was read"
            return MemoryChange(measure="memory", missing=missing)
        began_ns = time.monotonic_ns()
        change = memory_change(self._reader, self._before, settle_ns, sleep=sleep)
        if change.missing is not None:
            return change

        def left_ns() -> int:
            return max(0, settle_ns - (time.monotonic_ns() - began_ns))

        gpu = None if self._gpu is None else self._gpu_change(self._gpu, left_ns(), sleep)
        counts = tuple(counter.change(left_ns(), sleep=sleep) for counter in self._counters)
        return msgspec.structs.replace(change, gpu=gpu, counts=counts)

    def _gpu_change(self, gpu: GpuReader, settle_ns: int, sleep: Callable[[float], None]) -> MemoryChange:
        if not self._gpu_before:
            return MemoryChange(measure=gpu.measure, missing=self._gpu_missing)
        return memory_change(gpu, self._gpu_before, settle_ns, sleep=sleep)

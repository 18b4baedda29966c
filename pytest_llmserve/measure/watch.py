"""Watching the server through one test."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import msgspec

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import METRICS, PROCESS, MemoryChange, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S
from pytest_llmserve.measure.probes import Watched, completed, probes_for, tree_of
from pytest_llmserve.observe.aside import Aside
from pytest_llmserve.observe.cores import cores_of
from pytest_llmserve.observe.counts import Counters
from pytest_llmserve.observe.gpu import GpuProbe, GpuReader
from pytest_llmserve.observe.memory import MemoryReader, memory_change, take_baseline
from pytest_llmserve.observe.process_tree import CPU_EVERY_NS, ProcessTree
from pytest_llmserve.observe.sampler import Sampler

WAY_OUT = "for a server on this machine give --llm-server-pid"
_FIRST_LIMIT_S, _LOOK_S = 1.0, 0.01
"""Longest wait for the first readings of a server that came back, and how often they are looked for."""


class Watch:
    """Samples the server from `start` to `stop`; one test long.

    Mutable: a look at each process that the server was, one after the other; any thread may call `renew`.

    Args:
        watched: the server, and where it can be looked at.
        gpu_judged: a run waits for GPU memory to settle too.
        counted: figures that are counted before a run and after it, such as "open_files".
        memory_judged: a check needs full readings of memory, which may hold the server up for longer then.
    """

    def __init__(
        self,
        watched: Watched,
        *,
        gpu_judged: bool = False,
        counted: tuple[str, ...] = (),
        memory_judged: bool = False,
    ) -> None:
        self._gpu_judged, self._counted, self._memory_judged = gpu_judged, counted, memory_judged
        self._looks: tuple[_Look, ...] = (_Look(watched, memory_judged),)
        self._turn = threading.Lock()
        self._runs = False
        self.started_ns = self._looks[0].since_ns

    @property
    def _sampler(self) -> Sampler:
        return self._looks[-1].sampler

    def start(self) -> None:
        """Begin to sample."""
        self._runs = True
        self._sampler.start()

    def renew(self, watched: Watched) -> None:
        """From now on watch the server as it is now; samples of before are kept. Nothing unless it runs.

        Waits for the first readings, a second at most.
        """
        with self._turn:
            if not self._runs:
                return
            with contextlib.suppress(ProbeLost):  # a reading that hangs: `stop` finds it again
                self._sampler.stop()
            look = _Look(watched, self._memory_judged, self._sampler.period_ns)
            look.sampler.start()
            self._looks = (*self._looks, look)
        look.wait_first()

    def stop(self) -> None:
        """End sampling.

        Raises:
            ProbeLost: a reading hangs.
        """
        with self._turn, contextlib.ExitStack() as stopping:
            self._runs = False
            for look in self._looks:
                stopping.callback(look.sampler.stop)

    def hurry(self) -> None:
        """A run begins that may be short: read more often for a while."""
        self._sampler.hurry()

    def pace(self, duration_ns: int | None) -> None:
        """A run of so long begins: long ones are read less often."""
        self._sampler.pace(period_of(duration_ns))

    def window(self, start_ns: int | None = None, stop_ns: int | None = None) -> ResourceWindow:
        """The samples so far."""
        looks = self._looks
        window = joined([look.window(start_ns, stop_ns) for look in looks])
        since = (look.since_ns for look in looks[1:])
        return msgspec.structs.replace(window, renewed_ns=tuple(since)).between(start_ns, stop_ns)

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

    def last_sample(self, cpu_judged: bool) -> None:
        """One more full sample; where CPU is judged, one that has it, which may take a fifth of a second."""
        sample = self.sample_now()
        if cpu_judged and sample is not None and sample.processes and sample.cpu_percent is None:
            time.sleep(CPU_EVERY_NS / NS_PER_S)
            self.sample_now()

    @property
    def tree(self) -> tuple[ProcessTree | None, str | None]:
        """The processes that are watched now; and why there are none."""
        return self._looks[-1].tree, self._looks[-1].missing

    def memory(self) -> MemoryWatch:
        """A memory reading for one run that is about to begin."""
        look = self._looks[-1]
        gpu = None if look.gpu is None or not self._gpu_judged else GpuReader(look.gpu)
        return MemoryWatch(look.tree, look.missing, gpu, self._counted)


class _Look:
    """At one process and what is beside it.

    Args:
        watched: the server, and where it can be looked at.
        memory_judged: as the sampler has it.
        period_ns: from one sample to the next; None = as the sampler has it.
    """

    def __init__(self, watched: Watched, memory_judged: bool, period_ns: int | None = None) -> None:
        self.since_ns = time.monotonic_ns()
        self.missing: str | None = None
        self.tree: ProcessTree | None = None
        if watched.pid is None:
            why = watched.why
            self.missing = f"{why}; {WAY_OUT}" if "--llm-server-pid" not in why else why
        else:
            try:
                self.tree = tree_of(watched)
            except ProbeLost as lost:
                self.missing = str(lost)
        self._cores = None if self.tree is None else cores_of(self.tree.pid)
        self._parts = dict(watched.parts)
        probes = self._probes = probes_for(watched, self.tree)
        self.gpu = next((probe for probe in probes if isinstance(probe, GpuProbe)), None)
        there = probes if self.tree is None else [self.tree, *probes]
        self.sampler = Sampler(there, memory_judged=memory_judged)
        if period_ns is not None:
            self.sampler.pace(period_ns)

    def wait_first(self) -> None:
        """Until each probe that is read aside has answered once, or has taken too long for it."""
        deadline = time.monotonic() + _FIRST_LIMIT_S
        aside = [probe for probe in self._probes if isinstance(probe, Aside)]
        while not all(probe.answered for probe in aside) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)

    def window(self, start_ns: int | None, stop_ns: int | None) -> ResourceWindow:
        """Its samples so far."""
        window = self.sampler.window(start_ns, stop_ns)
        missing = window.missing or self.missing
        window = msgspec.structs.replace(window, missing=missing, cores=self._cores, parts=self._parts)
        return completed(window, self._probes)


def joined(windows: Sequence[ResourceWindow]) -> ResourceWindow:
    """The samples of all, in their order; what is missing is what the last one lacks."""
    gpu = (window.gpu for window in reversed(windows) if window.gpu is not None)
    names: dict[int, str] = {}
    for window in windows:
        names |= window.gpu_names
    samples = tuple(chain.from_iterable(window.samples for window in windows))
    return msgspec.structs.replace(windows[-1], samples=samples, gpu=next(gpu, None), gpu_names=names)


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
        self._counters = None if tree is None else Counters(counted, tree.counts)
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
        counts = () if self._counters is None else self._counters.change(left_ns(), sleep=sleep)
        return msgspec.structs.replace(change, gpu=gpu, counts=counts)

    def _gpu_change(self, gpu: GpuReader, settle_ns: int, sleep: Callable[[float], None]) -> MemoryChange:
        if not self._gpu_before:
            return MemoryChange(measure=gpu.measure, missing=self._gpu_missing)
        return memory_change(gpu, self._gpu_before, settle_ns, sleep=sleep)

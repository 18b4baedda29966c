"""Watching the server's process through one test."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import MemoryChange, ResourceSample, ResourceWindow
from pytest_llmserve.observe.gpu_memory import GpuMemory, GpuReader
from pytest_llmserve.observe.memory import MemoryReader, memory_change, take_baseline
from pytest_llmserve.observe.process_tree import ProcessTree
from pytest_llmserve.observe.sampler import Sampler

WAY_OUT = "for a server on this machine give --llm-server-pid"


class Watch:
    """Samples the server from `start` to `stop`; one test long.

    Args:
        pid: of the server's first process, or None.
        why: why there is no pid.
        gpu: read GPU memory too.
    """

    def __init__(self, pid: int | None, why: str, *, gpu: bool = False) -> None:
        self._missing: str | None = None
        self._sampler: Sampler | None = None
        self._tree: ProcessTree | None = None
        self._gpu: GpuMemory | None = None
        self.started_ns = time.monotonic_ns()
        if pid is None:
            self._missing = f"{why}; {WAY_OUT}" if "--llm-server-pid" not in why else why
            return
        try:
            self._tree = ProcessTree(pid)
        except ProbeLost as lost:
            self._missing = str(lost)
            return
        if gpu:
            self._gpu = GpuMemory(self._tree.pids)
        self._sampler = Sampler(self._read)

    def start(self) -> None:
        """Begin to sample."""
        if self._sampler is not None:
            self._sampler.start()

    def stop(self) -> None:
        """End sampling.

        Raises:
            ProbeLost: a reading hangs.
        """
        try:
            if self._sampler is not None:
                self._sampler.stop()
        finally:
            if self._gpu is not None:
                self._gpu.close()

    def hurry(self) -> None:
        """A run begins that may be short: read more often for a while."""
        if self._sampler is not None:
            self._sampler.hurry()

    def _read(self, full: bool) -> ResourceSample:
        assert self._tree is not None
        sample = self._tree.read(full)
        if self._gpu is None:
            return sample
        return msgspec.structs.replace(sample, gpu_bytes=self._gpu.read())

    def window(self, start_ns: int | None = None, stop_ns: int | None = None) -> ResourceWindow:
        """The samples so far."""
        if self._sampler is None:
            return ResourceWindow(missing=self._missing)
        window = self._sampler.window(start_ns, stop_ns)
        if window.missing is None and self._missing is not None:
            window = msgspec.structs.replace(window, missing=self._missing)
        if self._gpu is None:
            return window
        lost = self._gpu.missing
        return msgspec.structs.replace(window, gpu=None if lost else self._gpu.what, gpu_missing=lost)

    def rss_bytes(self) -> int | None:
        """Of the last sample; nothing is read now. None before the first, and once the server is lost."""
        if self._sampler is None or self._sampler.missing is not None:
            return None
        latest = self._sampler.latest
        return None if latest is None else latest.rss_bytes

    def sample_now(self) -> ResourceSample | None:
        """One more full sample, or None when there is nothing to read."""
        if self._sampler is None:
            return None
        try:
            return self._sampler.sample_now()
        except ProbeLost as lost:  # the sampler may be stopped before it notices: `window` must tell
            self._missing = str(lost)
            return None

    def memory(self) -> MemoryWatch:
        """A memory reading for one run."""
        return MemoryWatch(self._tree, self._missing, self._gpu)


class MemoryWatch:
    """Memory before a run and after it. Losing the server is told in the change, never raised."""

    def __init__(self, tree: ProcessTree | None, missing: str | None, gpu: GpuMemory | None = None) -> None:
        self._missing = missing
        self._gpu = gpu
        self._gpu_before: tuple[int, ...] = ()
        self._reader: MemoryReader | None = None
        self._before: tuple[int, ...] = ()
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
                if self._gpu is not None:
                    self._gpu.settle()
                    self._gpu_before = self._gpu_baseline(self._gpu)
            except ProbeLost as lost:
                self._missing = str(lost)

    def change(self, settle_ns: int, sleep: Callable[[float], None] = time.sleep) -> MemoryChange:
        """Wait until memory has settled and say how it changed; what `sleep` raises is passed on."""
        if self._reader is None or not self._before:
            missing = self._missing or "the run ended before its memory baseline was read"
            return MemoryChange(measure="memory", missing=missing)
        began_ns = time.monotonic_ns()
        change = memory_change(self._reader, self._before, settle_ns, sleep=sleep)
        if self._gpu is None or change.missing is not None:
            return change
        left_ns = max(0, settle_ns - (time.monotonic_ns() - began_ns))
        return msgspec.structs.replace(change, gpu=self._gpu_change(self._gpu, left_ns, sleep))

    def _gpu_baseline(self, gpu: GpuMemory) -> tuple[int, ...]:
        return () if gpu.missing is not None else take_baseline(GpuReader(gpu))

    def _gpu_change(self, gpu: GpuMemory, settle_ns: int, sleep: Callable[[float], None]) -> MemoryChange:
        if not self._gpu_before:
            return MemoryChange(
                measure=gpu.what, missing=gpu.missing or "GPU memory was not read before the run"
            )
        return memory_change(GpuReader(gpu), self._gpu_before, settle_ns, sleep=sleep)

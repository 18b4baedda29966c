"""Watching the server's process through one test."""

from __future__ import annotations

import time
from collections.abc import Callable

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import MemoryChange, ResourceSample, ResourceWindow
from pytest_llmserve.observe.memory import MemoryReader, memory_change, take_baseline
from pytest_llmserve.observe.process_tree import ProcessTree
from pytest_llmserve.observe.sampler import Sampler

WAY_OUT = "for a server on this machine give --llm-server-pid"


class Watch:
    """Samples the server from `start` to `stop`; one test long.

    Args:
        pid: of the server's first process, or None.
        why: why there is no pid.
    """

    def __init__(self, pid: int | None, why: str) -> None:
        self._missing: str | None = None
        self._sampler: Sampler | None = None
        self._tree: ProcessTree | None = None
        self.started_ns = time.monotonic_ns()
        if pid is None:
            self._missing = f"{why}; {WAY_OUT}" if "--llm-server-pid" not in why else why
            return
        try:
            self._tree = ProcessTree(pid)
        except ProbeLost as lost:
            self._missing = str(lost)
            return
        self._sampler = Sampler(self._tree.read)

    def start(self) -> None:
        """Begin to sample."""
        if self._sampler is not None:
            self._sampler.start()

    def stop(self) -> None:
        """End sampling.

        Raises:
            ProbeLost: a reading hangs.
        """
        if self._sampler is not None:
            self._sampler.stop()

    def window(self, start_ns: int | None = None, stop_ns: int | None = None) -> ResourceWindow:
        """The samples so far."""
        if self._sampler is None:
            return ResourceWindow(missing=self._missing)
        window = self._sampler.window(start_ns, stop_ns)
        if window.missing is None and self._missing is not None:
            return ResourceWindow(samples=window.samples, missing=self._missing)
        return window

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
        return MemoryWatch(self._tree, self._missing)


class MemoryWatch:
    """Memory before a run and after it. Losing the server is told in the change, never raised."""

    def __init__(self, tree: ProcessTree | None, missing: str | None) -> None:
        self._missing = missing
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
            except ProbeLost as lost:
                self._missing = str(lost)

    def change(self, settle_ns: int, sleep: Callable[[float], None] = time.sleep) -> MemoryChange:
        """Wait until memory has settled and say how it changed; what `sleep` raises is passed on."""
        if self._reader is None or not self._before:
            missing = self._missing or "the run ended before its memory baseline was read"
            return MemoryChange(measure="memory", missing=missing)
        return memory_change(self._reader, self._before, settle_ns, sleep=sleep)

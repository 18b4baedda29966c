"""A process and all its descendants, read as one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_llmserve.domain.samples import PROCESS
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S
from pytest_llmserve.observe.process_reading import CpuTimes, Key, Reading, TreeReader
from pytest_llmserve.observe.procfs import ProcfsTree
from pytest_llmserve.observe.psutil_tree import PsutilTree

CPU_EVERY_NS = 180 * NS_PER_MS
"""Linux counts CPU in steps of 10 ms: over less, a step is a good part of a core."""
TRIES = 5
"""Full readings of a tree whose processes come and go, until one holds them all."""


def tree_reader(pid: int) -> TreeReader:
    """Whatever reads a tree of processes on this system.

    Raises:
        ProbeLost: no such process.
    """
    return ProcfsTree(pid) if os.path.exists("/proc/self/smaps_rollup") else PsutilTree(pid)


class ProcessTree:
    """Reads a root process and its children's children; a descendant that vanishes is no error.

    Sums count pages that processes share once for each in RSS, in USS for none, and once in what is
    held; a full reading that lacks a process is none: it is taken again, and not known when that fails.
    Mutable state: the CPU times of the last reading that told CPU, so only one thread calls `read`.

    Args:
        pid: of the root process.
        clock: monotonic, in ns.
        reader: of its processes; None = the one for this system.

    Raises:
        ProbeLost: no such process.
    """

    source = PROCESS
    missing: str | None = None

    def __init__(
        self,
        pid: int,
        clock: Callable[[], int] = time.monotonic_ns,
        reader: TreeReader | None = None,
    ) -> None:
        self.pid = pid
        self._clock = clock
        self._reader = tree_reader(pid) if reader is None else reader
        self._cpu: dict[Key, CpuTimes] | None = None
        self._read_ns = 0

    @property
    def tells_held(self) -> bool:
        """`memory_bytes` is what the tree holds: `ResourceSample.held_bytes`."""
        return self._reader.tells_anon

    def read(self, full: bool = False) -> dict[str, Any]:
        """Read the whole tree once: fields of a `ResourceSample`.

        The first reading has no CPU percent, nor has one that follows too soon on the last that had.

        Args:
            full: read USS, PSS, shared memory and swap too, which costs milliseconds for a large process.

        Raises:
            ProbeLost: the root process has ended.
        """
        readings, whole = self._readings(full, at_once=full)
        percent, busiest = self._percents(readings)
        told = readings if whole else None
        return {
            "processes": len(readings),
            "rss_bytes": sum(reading.rss_bytes for reading in readings),
            "uss_bytes": _sum(told, "uss_bytes"),
            "pss_bytes": _sum(told, "pss_bytes"),
            "shared_bytes": _sum(told, "shared_bytes"),
            "held_bytes": _held(told),
            "swap_bytes": _sum(told, "swap_bytes"),
            "cpu_percent": percent,
            "busiest_percent": busiest,
            "threads": _sum(readings, "threads"),
            "open_files": _sum(readings, "open_files"),
        }

    def close(self) -> None:
        """Nothing is held."""

    def memory_bytes(self, full: bool) -> int | None:
        """What the tree holds when `full` (where not told, USS + swap), else RSS; None when not told.

        None also when its processes come and go too fast for a reading of all of them.

        Leaves the state of `read` alone, so any thread may call it.

        Raises:
            ProbeLost: the root process has ended.
        """
        readings, whole = self._readings(full)
        if not full:
            return sum(reading.rss_bytes for reading in readings)
        if not whole:
            return None
        if self.tells_held:
            return _held(readings)
        uss = _sum(readings, "uss_bytes")
        return None if uss is None else uss + (_sum(readings, "swap_bytes") or 0)

    def counts(self) -> dict[str, int | None]:
        """What the tree has open now; as `read` tells it, but any thread may call it.

        Raises:
            ProbeLost: the root process has ended.
        """
        readings, _ = self._readings(False)
        return {field: _sum(readings, field) for field in ("open_files", "threads")}

    def pids(self) -> frozenset[int]:
        """The processes of the tree.

        Raises:
            ProbeLost: the root process has ended.
        """
        return self._reader.pids()

    def _percents(self, readings: Sequence[Reading]) -> tuple[float | None, float | None]:
        """CPU of the tree and of its busiest process, since that was told last; None where it is too soon."""
        now_ns = self._clock()
        percent = busiest = None
        cpu = {reading.key: reading.cpu for reading in readings}
        if self._cpu is not None:
            passed_ns = now_ns - self._read_ns
            if passed_ns < CPU_EVERY_NS:
                return None, None
            percent_of_s = 100 * NS_PER_S / passed_ns
            percent = percent_of_s * cpu_spent_s(self._cpu, cpu)
            busiest = percent_of_s * busiest_s(self._cpu, cpu)
        self._cpu, self._read_ns = cpu, now_ns
        return percent, busiest

    def _readings(self, full: bool, at_once: bool = True) -> tuple[list[Reading], bool]:
        """The processes that could be read, and whether these are all."""
        for _ in range(TRIES if full else 1):
            readings, whole = self._reader.readings(full, at_once)
            if whole:
                break
        return readings, whole


def cpu_spent_s(before: Mapping[Key, CpuTimes], after: Mapping[Key, CpuTimes]) -> float:
    """CPU seconds of a tree between two readings, children that started or ended between included.

    A child's time passes to its parent's waited-for time when the parent reaps it (Linux;
    elsewhere that stays 0 and the last stretch of an ended child is lost). The part of it
    that was seen already, in the child, is taken off again.
    """
    start = CpuTimes(0.0, 0.0)
    own_s = sum(times.own_s - before.get(key, start).own_s for key, times in after.items())
    waited_s = sum(times.waited_s - before.get(key, start).waited_s for key, times in after.items())
    seen_s = sum(times.own_s + times.waited_s for key, times in before.items() if key not in after)
    return max(0.0, own_s) + max(0.0, waited_s - seen_s)


def busiest_s(before: Mapping[Key, CpuTimes], after: Mapping[Key, CpuTimes]) -> float:
    """CPU seconds, between two readings, of the process that used most; without its children's."""
    start = CpuTimes(0.0, 0.0)
    return max((times.own_s - before.get(key, start).own_s for key, times in after.items()), default=0.0)


def _held(readings: Sequence[Reading] | None) -> int | None:
    anon, swap = _sum(readings, "anon_bytes"), _sum(readings, "swap_bytes")
    return None if anon is None or swap is None else anon + swap


def _sum(readings: Sequence[Reading] | None, field: str) -> int | None:
    """The sum, or None when any part is not known: half a sum would look like a small one."""
    parts: list[Any] = [None] if readings is None else [getattr(reading, field) for reading in readings]
    return None if None in parts else sum(parts)

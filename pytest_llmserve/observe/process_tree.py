"""A process and all its descendants, read as one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import PROCESS
from pytest_llmserve.domain.units import NS_PER_S

Key = tuple[int, float]
"""(pid, create time): a pid alone may be given to another process."""


class CpuTimes(msgspec.Struct, frozen=True):
    """CPU seconds of one process, and of the children it has waited for with all theirs."""

    own_s: float
    waited_s: float


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One process at one instant; None where the system does not tell."""

    key: Key
    cpu: CpuTimes
    rss_bytes: int
    uss_bytes: int | None
    swap_bytes: int | None
    threads: int | None
    open_files: int | None


TRIES = 5
"""Full readings of a tree whose processes come and go, until one holds them all."""


class ProcessTree:
    """Reads a root process and its children's children; a descendant that vanishes is no error.

    Sums count pages that processes share once for each in RSS; in USS they count for none, so a
    reading of USS that lacks a process is none: it is taken again, and not known when that fails.
    Mutable state: the CPU times of the reading before, so only one thread calls `read`.

    Raises:
        ProbeLost: no such process.
    """

    source = PROCESS
    missing: str | None = None

    def __init__(self, pid: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        import psutil

        self.pid = pid
        self._clock = clock
        try:
            self._root = psutil.Process(pid)
        except psutil.NoSuchProcess:
            raise ProbeLost(f"there is no process {pid}") from None
        self._cpu: dict[Key, CpuTimes] | None = None
        self._read_ns = 0

    def read(self, full: bool = False) -> dict[str, Any]:
        """Read the whole tree once: fields of a `ResourceSample`. The first reading has no CPU percent.

        Args:
            full: read USS and swap too, which costs milliseconds for a large process.

        Raises:
            ProbeLost: the root process has ended.
        """
        readings, whole = self._readings(full)
        now_ns = self._clock()
        cpu = {reading.key: reading.cpu for reading in readings}
        percent = None
        if self._cpu is not None and now_ns > self._read_ns:
            percent = 100 * cpu_spent_s(self._cpu, cpu) * NS_PER_S / (now_ns - self._read_ns)
        self._cpu, self._read_ns = cpu, now_ns
        return {
            "processes": len(readings),
            "rss_bytes": sum(reading.rss_bytes for reading in readings),
            "uss_bytes": _sum(reading.uss_bytes for reading in readings) if whole else None,
            "swap_bytes": _sum(reading.swap_bytes for reading in readings) if whole else None,
            "cpu_percent": percent,
            "threads": _sum(reading.threads for reading in readings),
            "open_files": _sum(reading.open_files for reading in readings),
        }

    def close(self) -> None:
        """Nothing is held."""

    def memory_bytes(self, full: bool) -> int | None:
        """USS + swap of the tree when `full`, else RSS; None when the system does not tell.

        Also when its processes come and go too fast for a reading of all of them.

        Leaves the state of `read` alone, so any thread may call it.

        Raises:
            ProbeLost: the root process has ended.
        """
        readings, whole = self._readings(full)
        if not full:
            return sum(reading.rss_bytes for reading in readings)
        if not whole:
            return None
        uss = _sum(reading.uss_bytes for reading in readings)
        return None if uss is None else uss + (_sum(reading.swap_bytes for reading in readings) or 0)

    def pids(self) -> frozenset[int]:
        """The processes of the tree.

        Raises:
            ProbeLost: the root process has ended.
        """
        import psutil

        try:
            return frozenset({self.pid, *(child.pid for child in self._root.children(recursive=True))})
        except psutil.NoSuchProcess:
            raise ProbeLost(f"the server's process {self.pid} ended") from None

    def _readings(self, full: bool) -> tuple[list[Reading], bool]:
        """The processes that could be read, and whether these are all."""
        for _ in range(TRIES if full else 1):
            readings, whole = self._readings_once(full)
            if whole:
                break
        return readings, whole

    def _readings_once(self, full: bool) -> tuple[list[Reading], bool]:
        import psutil

        try:
            if not self._root.is_running() or self._root.status() == psutil.STATUS_ZOMBIE:
                raise psutil.NoSuchProcess(self.pid)
            processes = [self._root, *self._root.children(recursive=True)]
            root = _reading(self._root, full)
        except psutil.NoSuchProcess:
            raise ProbeLost(f"the server's process {self.pid} ended") from None
        except psutil.AccessDenied:
            raise ProbeLost(
                f"the server's process {self.pid} may not be read: run as its user or root"
            ) from None
        children = [_reading_or_none(process, full) for process in processes[1:]]
        return [root, *(reading for reading in children if reading is not None)], None not in children


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


def _reading_or_none(process: Any, full: bool) -> Reading | None:
    import psutil

    try:
        return _reading(process, full)
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # gone, or another user's
        return None


def _reading(process: Any, full: bool) -> Reading:
    import psutil

    with process.oneshot():
        times = process.cpu_times()
        memory = process.memory_info()
        threads = process.num_threads()
        ended = process.status() == psutil.STATUS_ZOMBIE
    key = (process.pid, process.create_time())
    waited_s = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    cpu = CpuTimes(times.user + times.system, waited_s)
    if ended:  # nothing left but its CPU time, until its parent takes that over
        return Reading(
            key=key,
            cpu=cpu,
            rss_bytes=0,
            uss_bytes=0 if full else None,
            swap_bytes=0 if full else None,
            threads=0,
            open_files=0,
        )
    whole = _told(process, "memory_full_info") if full else None
    open_files = _told(process, "num_fds" if hasattr(process, "num_fds") else "num_handles")
    return Reading(
        key=key,
        cpu=cpu,
        rss_bytes=memory.rss,
        uss_bytes=getattr(whole, "uss", None),
        swap_bytes=getattr(whole, "swap", None),
        threads=threads,
        open_files=open_files,
    )


def _told(process: Any, question: str) -> Any:
    """What a process says of itself, or None where that is not permitted."""
    import psutil

    try:
        return getattr(process, question)()
    except psutil.AccessDenied:
        return None


def _sum(parts: Any) -> int | None:
    """The sum, or None when any part is not known: half a sum would look like a small one."""
    known = list(parts)
    return None if None in known else sum(known)

"""A tree of processes through psutil: for systems without Linux's /proc."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.observe.process_reading import (
    CpuTimes,
    Reading,
    ended_reading,
    ended_text,
    nobody_text,
    refused_text,
)


class PsutilTree:
    """A `TreeReader`; a scan of all processes of the machine at each reading.

    Raises:
        ProbeLost: no such process.
    """

    tells_anon = False

    def __init__(self, pid: int) -> None:
        import psutil

        self._pid = pid
        try:
            self._root = psutil.Process(pid)
        except psutil.NoSuchProcess:
            raise ProbeLost(nobody_text(pid)) from None

    def readings(
        self,
        full: bool,
        at_once: bool = True,  # noqa: ARG002 - it always is
    ) -> tuple[list[Reading], bool]:
        """As `TreeReader` has it.

        Raises:
            ProbeLost: the root process has ended, or may not be read.
        """
        import psutil

        try:
            if not self._root.is_running() or self._root.status() == psutil.STATUS_ZOMBIE:
                raise psutil.NoSuchProcess(self._pid)
            processes = [self._root, *self._root.children(recursive=True)]
            root = _reading(self._root, full)
        except psutil.NoSuchProcess:
            raise ProbeLost(ended_text(self._pid)) from None
        except psutil.AccessDenied:
            raise ProbeLost(refused_text(self._pid)) from None
        children = [_reading_or_none(process, full) for process in processes[1:]]
        return [root, *(reading for reading in children if reading is not None)], None not in children

    def pids(self) -> frozenset[int]:
        """As `TreeReader` has it.

        Raises:
            ProbeLost: the root process has ended.
        """
        import psutil

        try:
            return frozenset({self._pid, *(child.pid for child in self._root.children(recursive=True))})
        except psutil.NoSuchProcess:
            raise ProbeLost(ended_text(self._pid)) from None


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
    if ended:
        return ended_reading(key, cpu, full)
    whole = _told(process, "memory_full_info") if full else None
    return Reading(
        key=key,
        cpu=cpu,
        rss_bytes=memory.rss,
        uss_bytes=getattr(whole, "uss", None),
        pss_bytes=getattr(whole, "pss", None),
        swap_bytes=getattr(whole, "swap", None),
        threads=threads,
        open_files=_told(process, "num_fds" if hasattr(process, "num_fds") else "num_handles"),
    )


def _told(process: Any, question: str) -> Any:
    """What a process says of itself, or None where that is not permitted."""
    import psutil

    try:
        return getattr(process, question)()
    except psutil.AccessDenied:
        return None

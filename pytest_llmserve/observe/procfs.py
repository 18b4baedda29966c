"""A tree of processes from Linux's /proc, a tenth of a millisecond for each."""

from __future__ import annotations

import os

import msgspec

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.observe.family import Family, Stat, read_bytes
from pytest_llmserve.observe.process_reading import (
    Reading,
    ended_reading,
    ended_text,
    nobody_text,
    refused_text,
)


class Rollup(msgspec.Struct, frozen=True, kw_only=True):
    """What /proc/PID/smaps_rollup tells, in bytes; None where the kernel is too old to."""

    uss_bytes: int
    pss_bytes: int
    anon_bytes: int | None
    shared_bytes: int | None
    swap_bytes: int


def parse_rollup(text: bytes) -> Rollup:
    """Parse /proc/PID/smaps_rollup (Documentation/filesystems/proc.rst of the kernel).

    Anonymous memory is the process's part of all pages that no file backs, shared memory (shmem) too.
    What of it others have mapped as well is shared: dirty pages by their proportional share less those
    nobody else has, as no library or model file that others merely have open is written to. Before Linux
    6.0 (no Pss_Dirty) it is what no file backs less the dirty pages of the process alone: too little by
    files that it writes to through a mapping.
    """
    told: dict[bytes, int] = {}
    for line in text.splitlines()[1:]:
        name, _, rest = line.partition(b":")
        told[name] = int(rest.split()[0]) * 1024
    anon = told[b"Pss_Anon"] + told[b"Pss_Shmem"] if b"Pss_Anon" in told else None
    return Rollup(
        uss_bytes=sum(told.get(b"Private_" + kind, 0) for kind in (b"Clean", b"Dirty", b"Hugetlb")),
        pss_bytes=told[b"Pss"],
        anon_bytes=None if anon is None else anon + told.get(b"Private_Hugetlb", 0),
        shared_bytes=None if anon is None else max(0, told.get(b"Pss_Dirty", anon) - told[b"Private_Dirty"]),
        swap_bytes=told.get(b"Swap", 0),
    )


class ProcfsTree:
    """A `TreeReader`.

    Args:
        pid: of the first process.
        root: where the process file system lies.

    Raises:
        ProbeLost: no such process.
    """

    def __init__(self, pid: int, root: str = "/proc") -> None:
        self._pid, self._root = pid, root
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._family = Family(pid, root)
        first = self._root_stat()
        if first is None:
            raise ProbeLost(nobody_text(pid))
        self._started = first.started
        self._sizes_count = self._counts_files_as_size()
        self.tells_anon = parse_rollup(read_bytes(f"{root}/self/smaps_rollup")).anon_bytes is not None

    def readings(self, full: bool, at_once: bool = True) -> tuple[list[Reading], bool]:
        """As `TreeReader` has it.

        Raises:
            ProbeLost: the root process has ended, or may not be read.
        """
        stats = self._family.stats(at_once)
        if self._pid not in stats:
            self._check(self._root_stat())
        else:
            self._check(stats[self._pid])
        found = [self._reading(pid, stat, full) for pid, stat in stats.items()]
        told = [reading for reading in found if reading is not None]
        if not told or told[0].key[0] != self._pid:
            raise ProbeLost(ended_text(self._pid))
        return told, len(told) == len(found)

    def pids(self) -> frozenset[int]:
        """As `TreeReader` has it.

        Raises:
            ProbeLost: the root process has ended.
        """
        self._check(self._root_stat())
        return self._family.pids()

    def _root_stat(self) -> Stat | None:
        try:
            return self._family.stat(self._pid)
        except PermissionError:
            raise ProbeLost(refused_text(self._pid)) from None

    def _check(self, root: Stat | None) -> None:
        if root is None or root.ended or root.started != self._started:
            raise ProbeLost(ended_text(self._pid))

    def _reading(self, pid: int, stat: Stat, full: bool) -> Reading | None:
        """One process, or None when it has ended meanwhile."""
        key = (pid, float(stat.started))
        if stat.ended:
            return ended_reading(key, stat.cpu, full)
        try:
            whole = self._rollup(pid) if full else None
            open_files = self._open_files(pid)
        except (FileNotFoundError, ProcessLookupError):
            return None
        return Reading(
            key=key,
            cpu=stat.cpu,
            rss_bytes=stat.rss_pages * self._page_bytes,
            uss_bytes=None if whole is None else whole.uss_bytes,
            pss_bytes=None if whole is None else whole.pss_bytes,
            anon_bytes=None if whole is None else whole.anon_bytes,
            shared_bytes=None if whole is None else whole.shared_bytes,
            swap_bytes=None if whole is None else whole.swap_bytes,
            threads=stat.threads,
            open_files=open_files,
        )

    def _rollup(self, pid: int) -> Rollup | None:
        try:
            return parse_rollup(read_bytes(f"{self._root}/{pid}/smaps_rollup"))
        except PermissionError:
            return None

    def _open_files(self, pid: int) -> int | None:
        folder = f"{self._root}/{pid}/fd"
        try:
            return os.stat(folder).st_size if self._sizes_count else len(os.listdir(folder))
        except PermissionError:
            return None

    def _counts_files_as_size(self) -> bool:
        """Since Linux 6.2 the size of the folder is the number of open files; before, it is 0."""
        try:
            return os.stat(f"{self._root}/self/fd").st_size > 0
        except FileNotFoundError:
            return False

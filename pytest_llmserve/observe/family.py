"""Which processes descend from one, from Linux's /proc, without a scan at each look."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.observe.process_reading import CpuTimes

LOOK_NS = 2 * NS_PER_S
"""All processes are listed anew after so long at the latest: some containers never tell of new ones."""
LOOK_SHARE = 0.0005
"""Of a core, for looks that need not be at once: others on the machine may give birth all the time."""
_GONE = (FileNotFoundError, ProcessLookupError)


class Stat(NamedTuple):
    """What /proc/PID/stat tells (proc_pid_stat(5)); `started` in clock ticks since boot."""

    ended: bool
    parent: int
    started: int
    cpu: CpuTimes
    threads: int
    rss_pages: int


class Family:
    """A process and its descendants.

    The kernel tells the newest pid it has given: while that stays, nobody was born and nothing is
    listed. Else all pids are listed, at once or soon, and those that are new are read. A process that is
    given a pid which another had at the look before is taken for that one; a kernel goes through all
    other pids first.
    Mutable: who is whose child, as of the last look; guarded, so any thread may ask.

    Args:
        pid: of the first process.
        root: where the process file system lies.
        clock: monotonic, in ns.
        cpu_s: CPU seconds of the calling thread.
    """

    def __init__(
        self,
        pid: int,
        root: str = "/proc",
        clock: Callable[[], int] = time.monotonic_ns,
        cpu_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self._pid, self._root = pid, root
        self._clock, self._cpu_s = clock, cpu_s
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._lock = threading.Lock()
        self._born: dict[int, tuple[int, int]] = {}
        self._members: list[int] = [pid]
        self._newest = b""
        self._soon_ns = self._latest_ns = -1

    def stat(self, pid: int) -> Stat | None:
        """One process, or None when it is gone.

        Raises:
            PermissionError: it may not be read.
        """
        try:
            return parse_stat(read_bytes(f"{self._root}/{pid}/stat"), self._tick_s)
        except _GONE:
            return None

    def stats(self, at_once: bool) -> dict[int, Stat]:
        """Those of the family that are there now, ended ones too; the first process first.

        Args:
            at_once: one that was born just now must be among them.
        """
        with self._lock:
            self._look_if_needed(at_once)
            now = {pid: stat for pid in self._members if (stat := self._seen(pid)) is not None}
            born = {pid: (stat.parent, stat.started) for pid, stat in now.items()}
            if any(born.get(pid) != self._born.get(pid) for pid in self._members):
                for pid in self._members:
                    self._born.pop(pid, None)
                self._born |= born
                self._members = descendants(self._pid, self._born)
            return {pid: now[pid] for pid in self._members if pid in now}

    def pids(self) -> frozenset[int]:
        """Those of the family, as of the last look."""
        with self._lock:
            self._look_if_needed(at_once=False)
            return frozenset(self._members)

    def _look_if_needed(self, at_once: bool) -> None:
        now_ns, newest = self._clock(), self._newest_pid()
        born = newest != self._newest and (at_once or now_ns >= self._soon_ns)
        if not born and now_ns < self._latest_ns:
            return
        began_s = self._cpu_s()
        self._look()
        self._newest = newest
        self._soon_ns = now_ns + round((self._cpu_s() - began_s) / LOOK_SHARE * NS_PER_S)
        self._latest_ns = max(self._soon_ns, now_ns + LOOK_NS)

    def _look(self) -> None:
        listed = {int(name) for name in os.listdir(self._root) if name.isdigit()}
        self._born = {pid: born for pid, born in self._born.items() if pid in listed}
        for pid in listed - self._born.keys():
            stat = self._seen(pid)
            if stat is not None:
                self._born[pid] = (stat.parent, stat.started)
        self._members = descendants(self._pid, self._born)

    def _seen(self, pid: int) -> Stat | None:
        try:
            return self.stat(pid)
        except PermissionError:  # hidden from us, as if it were not there
            return None

    def _newest_pid(self) -> bytes:
        return read_bytes(f"{self._root}/loadavg").rsplit(maxsplit=1)[-1]


def read_bytes(path: str) -> bytes:
    """A small file of /proc in one go: half the cost of `open`.

    Raises:
        OSError: passed on.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


def parse_stat(text: bytes, tick_s: float) -> Stat:
    """Parse /proc/PID/stat; a process may have any name, brackets and line ends in it too.

    Args:
        text: of the file.
        tick_s: length of a clock tick.
    """
    parts = text.rpartition(b")")[2].split(None, 22)
    return Stat(
        ended=parts[0] in (b"Z", b"X"),
        parent=int(parts[1]),
        started=int(parts[19]),
        cpu=CpuTimes(
            (int(parts[11]) + int(parts[12])) * tick_s,
            (int(parts[13]) + int(parts[14])) * tick_s,
        ),
        threads=int(parts[17]),
        rss_pages=int(parts[21]),
    )


def descendants(pid: int, born: Mapping[int, tuple[int, int]]) -> list[int]:
    """A process, where it is there, and all that come from it, parents before children.

    Args:
        pid: of the process.
        born: pid -> (its parent's, when it started). Nobody is older than his parent: a process older
            than the one that has its parent's pid is another's child.
    """
    children: dict[int, list[int]] = {}
    for child, (parent, started) in born.items():
        if parent in born and started >= born[parent][1]:
            children.setdefault(parent, []).append(child)
    found = [pid] if pid in born else []
    for member in found:
        found += children.get(member, ())
    return found

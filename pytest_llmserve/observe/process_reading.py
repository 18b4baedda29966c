"""What is read of one process of the server, wherever it is read from."""

from __future__ import annotations

from typing import Protocol

import msgspec

Key = tuple[int, float]
"""(pid, when it started, in whatever the system counts): a pid alone may be given to another process."""


class CpuTimes(msgspec.Struct, frozen=True):
    """CPU seconds of one process, and of the children it has waited for with all theirs."""

    own_s: float
    waited_s: float


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One process at one instant; None where the system does not tell.

    Attributes:
        anon_bytes: its part of the pages that no file backs: of a page that n processes have, an n-th.
        shared_bytes: its part of those of them that others have mapped too.
    """

    key: Key
    cpu: CpuTimes
    rss_bytes: int
    uss_bytes: int | None = None
    pss_bytes: int | None = None
    anon_bytes: int | None = None
    shared_bytes: int | None = None
    swap_bytes: int | None = None
    threads: int | None = None
    open_files: int | None = None


class TreeReader(Protocol):
    """Reads a process and its children's children one by one; any thread may call it.

    Attributes:
        tells_anon: full readings have `anon_bytes`.
    """

    tells_anon: bool

    def readings(self, full: bool, at_once: bool = True) -> tuple[list[Reading], bool]:
        """The processes that could be read, and whether none ended while they were.

        Args:
            full: what costs milliseconds for a large process too: USS, PSS, shared memory, swap.
            at_once: a process that was born just now must be among them; else it may come soon.

        Raises:
            ProbeLost: the root process has ended, or may not be read.
        """

    def pids(self) -> frozenset[int]:
        """The processes of the tree.

        Raises:
            ProbeLost: the root process has ended.
        """


def ended_text(pid: int) -> str:
    """Why nothing more is read."""
    return f"the server's process {pid} ended"


def refused_text(pid: int) -> str:
    """Why nothing is read."""
    return f"the server's process {pid} may not be read: run as its user or root"


def nobody_text(pid: int) -> str:
    """Why there is nothing to watch."""
    return f"there is no process {pid}"


def ended_reading(key: Key, cpu: CpuTimes, full: bool) -> Reading:
    """A process of which nothing is left but its CPU time, until its parent takes that over."""
    nothing = 0 if full else None
    return Reading(
        key=key,
        cpu=cpu,
        rss_bytes=0,
        uss_bytes=nothing,
        pss_bytes=nothing,
        anon_bytes=nothing,
        shared_bytes=nothing,
        swap_bytes=nothing,
        threads=0,
        open_files=0,
    )

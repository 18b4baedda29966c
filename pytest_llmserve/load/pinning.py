"""A CPU of its own for each load worker, where there are enough."""

from __future__ import annotations

import os
from collections.abc import Iterable


def cpu_of(index: int, workers: int, cpus: Iterable[int]) -> int | None:
    """The CPU worker `index` stays on: the last but `index`; the first ones are left to the rest.

    None, so that the system places it, for a single worker, and where not one CPU would be left over.

    Args:
        index: of the worker, from 0.
        workers: how many there are.
        cpus: those this process may run on.
    """
    allowed = sorted(set(cpus))
    if workers < 2 or len(allowed) < workers + 1:
        return None
    return allowed[-1 - index]


def pin(index: int, workers: int) -> bool:
    """Pin this process; False where it was not pinned, on systems that have no such call too."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    cpu = cpu_of(index, workers, os.sched_getaffinity(0))
    if cpu is None:
        return False
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:  # forbidden in some containers; the result says that it is not pinned
        return False
    return True

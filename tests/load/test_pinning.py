"""Which CPU a load worker stays on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_llmserve.load import pinning
from pytest_llmserve.load.pinning import cpu_of, pin


@pytest.mark.parametrize(
    ("index", "workers", "cpus", "cpu"),
    [
        (0, 1, range(64), None),
        (0, 2, [0, 1], None),
        (0, 2, [0, 1, 2], 2),
        (1, 2, [0, 1, 2], 1),
        (1, 2, {9, 3, 5, 7}, 7),
        (3, 4, range(4), None),
        (3, 4, range(5), 1),
        (0, 2, [], None),
    ],
)
def test_the_last_cpus_go_to_workers_and_one_at_least_stays_free(index, workers, cpus, cpu):
    assert cpu_of(index, workers, cpus) == cpu


def test_no_two_workers_share_a_cpu():
    assert len({cpu_of(index, 7, range(8)) for index in range(7)}) == 7


PINNED = """
import os
from pytest_llmserve.load import pinning
before = os.sched_getaffinity(0)
pinning.cpu_of = lambda index, workers, allowed: max(allowed)
print(pinning.pin(0, 2), len(before), os.sched_getaffinity(0) == {max(before)})
"""


CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


@pytest.mark.skipif(CPUS < 2, reason="needs two CPUs, and a system that pins processes")
def test_pinning_is_for_real():
    """A process that is pinned may run nowhere else."""
    done = subprocess.run(
        [sys.executable, "-c", PINNED], check=True, timeout=60, capture_output=True, text=True
    )
    told, before, alone = done.stdout.split()
    assert (told, alone) == ("True", "True")
    assert int(before) > 1


def test_what_cannot_be_pinned_says_so(monkeypatch):
    """A refusal is no error, but the result must not claim it."""

    def refuse(pid, cpus):
        raise PermissionError

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)
    assert not pin(0, 2)
    monkeypatch.delattr(os, "sched_setaffinity")
    assert not pinning.pin(0, 2)

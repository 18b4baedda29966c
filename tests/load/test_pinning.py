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


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process")
def test_pinning_is_for_real():
    """A process that is pinned may run nowhere else."""
    code = (
        "import os; from pytest_llmserve.load import pinning; cpus = os.sched_getaffinity(0);"
        " pinning.cpu_of = lambda index, workers, allowed: max(allowed);"
        " assert pinning.pin(0, 2); assert os.sched_getaffinity(0) == {max(cpus)}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_cannot_be_pinned_says_so(monkeypatch):
    """A refusal is no error, but the result must not claim it."""

    def refuse(pid, cpus):
        raise PermissionError

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)
    assert not pin(0, 2)
    monkeypatch.delattr(os, "sched_setaffinity")
    assert not pinning.pin(0, 2)

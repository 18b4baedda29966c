"""Several trees of processes as one."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.observe.forest import Forest
from pytest_llmserve.observe.process_reading import CpuTimes, Reading


class Tree:
    tells_anon = True

    def __init__(self, *pids, whole=True, ended=False):
        self._pids, self._whole, self._ended = pids, whole, ended

    def readings(self, full, at_once=True):
        if self._ended:
            raise ProbeLost("the server's process 3 ended")
        return [Reading(key=(pid, 1.0), cpu=CpuTimes(0, 0), rss_bytes=pid) for pid in self._pids], self._whole

    def pids(self):
        return frozenset(self._pids)


def test_all_processes_count_once():
    """A replica may be a child of another's process."""
    forest = Forest([Tree(1, 2), Tree(2, 3)])
    readings, whole = forest.readings(full=True)
    assert ([reading.rss_bytes for reading in readings], whole) == ([1, 2, 3], True)
    assert forest.pids() == {1, 2, 3}


def test_a_part_of_them_is_no_sum():
    assert not Forest([Tree(1), Tree(2, whole=False)]).readings(full=True)[1]
    with pytest.raises(ProbeLost, match="process 3 ended"):
        Forest([Tree(1), Tree(3, ended=True)]).readings(full=False)
    partly = Tree(2)
    partly.tells_anon = False
    assert not Forest([Tree(1), partly]).tells_anon

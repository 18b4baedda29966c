"""What is open before a run and after it."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import CountChange
from pytest_llmserve.observe.counts import LEAST_NS, PERIOD_NS, Counters
from pytest_llmserve.observe.process_tree import ProcessTree

ENDED = "the server's process 12 ended"


class Time:
    """Passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now_ns = 0

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)

    def clock(self) -> int:
        return self.now_ns


BEFORE = LEAST_NS // PERIOD_NS + 1
"""Readings."""


def changes_of(figures, counts, limit_ns):
    """The changes of counts; both sides take no time of ours."""
    time = Time()
    counters = Counters(figures, counts, time.sleep, time.clock)
    began_ns = time.now_ns
    changes = counters.change(limit_ns, sleep=time.sleep)
    return changes, began_ns, time.now_ns - began_ns


def change_of(values, limit_ns):
    """The change of a count that has these values one after the other, and ends."""
    left = iter(values)

    def counts():
        value = next(left, ENDED)
        if value == ENDED:
            raise ProbeLost(ENDED)
        return {"threads": value}

    ((change,), _, _) = changes_of(("threads",), counts, limit_ns)
    return change


@pytest.mark.parametrize(
    ("after", "limit_ns", "read", "kept"),
    [
        ([4], 10**9, (4,), 0),
        ([9, 7, 4, 99], 10**9, (9, 7, 4), 0),
        ([9] * 41, 2 * 10**9, (9,) * 41, 5),
        ([9] * 31, 0, (9,) * 31, 5),
        ([9] * 29 + [4], 0, (9,) * 29 + (4,), 0),
    ],
    ids=["none more", "fewer soon", "still more at the limit", "no time to wait", "a scrape that takes long"],
)
def test_it_is_waited_until_there_are_no_more_than_before(after, limit_ns, read, kept):
    """For 1.5 s at least: our own reading of the server's metrics is open for a part of each second."""
    before = [5] * (BEFORE - 1) + [4]
    change = change_of(before + after, limit_ns)
    assert (change.figure, change.before, change.after) == ("threads", tuple(before), read)
    assert (change.kept, change.missing) == (kept, None)


def test_all_counts_are_read_in_one_go_and_none_take_no_time():
    counts = {"open_files": 3, "threads": 4}
    changes, before_ns, after_ns = changes_of(tuple(counts), lambda: counts, 10**9)
    assert [(change.figure, change.kept) for change in changes] == [("open_files", 0), ("threads", 0)]
    assert (before_ns, after_ns) == (LEAST_NS, 0)
    assert changes_of((), None, 10**9) == ((), 0, 0)


@pytest.mark.parametrize("values", [[4, 4], [4] * BEFORE + [9]])
def test_a_server_that_ends_meanwhile_is_told_and_not_raised(values):
    change = change_of(values, 10**9)
    assert (change.kept, change.missing) == (None, ENDED)


def test_what_the_system_does_not_tell_is_no_count():
    """The other figure is counted all the same."""
    found, _, _ = changes_of(("open_files", "threads"), lambda: {"open_files": None, "threads": 4}, 0)
    assert found[0] == CountChange(
        figure="open_files",
        missing="the system does not tell it of this process: run as the server's user",
    )
    assert (found[1].kept, found[1].missing) == (0, None)


def test_a_real_process_is_counted(child):
    """Two pipes and a thread more, of a child."""
    time = Time()
    counters = Counters(("open_files", "threads"), ProcessTree(child.pid).counts, time.sleep, time.clock)
    child.tell("spawn import sys; sys.stdin.read()")
    files, threads = counters.change(0, sleep=time.sleep)
    assert files.kept >= 4
    assert threads.kept == 1

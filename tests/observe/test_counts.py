"""What is open before a run and after it."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import CountChange
from pytest_llmserve.observe.counts import Counter, counters
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


def change_of(values, limit_ns):
    """The change of a count that has these values one after the other, and ends."""
    time, left = Time(), iter(values)

    def count():
        value = next(left, ENDED)
        if value == ENDED:
            raise ProbeLost(ENDED)
        return value

    return Counter("threads", count, time.sleep).change(limit_ns, sleep=time.sleep, clock=time.clock)


@pytest.mark.parametrize(
    ("values", "limit_ns", "after", "kept"),
    [
        ([5, 4, 4, 4], 10**9, (4,), 0),
        ([4, 4, 4, 9, 7, 4, 99], 10**9, (9, 7, 4), 0),
        ([4, 4, 4, 9, 7, 8, 99], 100_000_000, (9, 7, 8), 3),
        ([4, 4, 4, 9], 0, (9,), 5),
    ],
    ids=["none more", "fewer soon", "still more at the limit", "no time to wait"],
)
def test_it_is_waited_until_there_are_no_more_than_before(values, limit_ns, after, kept):
    change = change_of(values, limit_ns)
    assert (change.figure, change.before, change.after) == ("threads", tuple(values[:3]), after)
    assert (change.kept, change.missing) == (kept, None)


@pytest.mark.parametrize("values", [[4, 4], [4, 4, 4, 9]])
def test_a_server_that_ends_meanwhile_is_told_and_not_raised(values):
    change = change_of(values, 10**9)
    assert (change.kept, change.missing) == (None, ENDED)


def test_what_the_system_does_not_tell_is_no_count():
    (counter,) = counters(("open_files",), lambda: {"open_files": None})
    assert counter.change(0, sleep=lambda seconds: None) == CountChange(
        figure="open_files",
        missing="the system does not tell it of this process: run as the server's user",
    )


def test_a_real_process_is_counted(child):
    """Two pipes and a thread more, of a child."""
    files, threads = counters(("open_files", "threads"), ProcessTree(child.pid).counts)
    child.tell("spawn import sys; sys.stdin.read()")
    assert files.change(0, sleep=lambda seconds: None).kept >= 4
    assert threads.change(0, sleep=lambda seconds: None).kept == 1

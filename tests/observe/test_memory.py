"""Memory before and after a run."""

from __future__ import annotations

import time

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.observe.memory import MemoryReader, memory_change, take_baseline
from pytest_llmserve.observe.process_tree import ProcessTree

MB = 1_000_000


class Source:
    """Tells USS + swap or not; then values one after the other, and ends."""

    def __init__(self, values: list[int], full: bool = True, shared: bool = False) -> None:
        self.tells_held = shared
        self._values, self._full = iter(values), full
        self.asked: list[bool] = []

    def memory_bytes(self, full: bool) -> int | None:
        self.asked.append(full)
        if full and not self._full:
            return None
        value = next(self._values, None)
        if value is None:
            raise ProbeLost("the server's process 12 ended")
        return value


@pytest.mark.parametrize(
    ("full", "shared", "measure"),
    [(True, True, "anonymous + shared + swap"), (True, False, "USS + swap"), (False, True, "RSS")],
)
def test_one_measure_is_chosen_and_kept(full, shared, measure):
    source = Source([1, 2, 3], full, shared)
    reader = MemoryReader(source)
    assert reader.measure == measure
    reader()
    reader()
    assert source.asked == [True, full, full]


def test_a_measure_that_can_no_longer_be_read_is_not_changed_silently():
    source = Source([1, 2], full=True)
    reader = MemoryReader(source)
    source._full = False
    with pytest.raises(ProbeLost) as caught:
        reader()
    assert str(caught.value) == "the server's memory (USS + swap) can no longer be read"


def test_the_baseline_is_seven_readings_apart():
    pauses: list[float] = []
    source = Source([5] * 20)
    assert take_baseline(MemoryReader(source), sleep=pauses.append) == (5,) * 7
    assert pauses == [0.05] * 6


def test_a_baseline_that_trembles_is_forty_readings():
    values = [400 * MB, 403 * MB] * 40
    assert take_baseline(MemoryReader(Source(values)), sleep=lambda s: None) == tuple(values[1:41])


def test_a_change_is_what_was_before_and_what_stays():
    reader = MemoryReader(Source([400 * MB] * 200))
    now = [0]
    change = memory_change(
        reader,
        (300 * MB,) * 7,
        2_000_000_000,
        sleep=lambda s: now.__setitem__(0, now[0] + round(s * 1e9)),
        clock=lambda: now[0],
    )
    assert change.measure == "USS + swap"
    assert change.retained_bytes == 100 * MB
    assert len(change.after) == 7
    assert change.settled_after_ns >= 2_000_000_000
    assert change.missing is None


def test_a_server_that_ends_meanwhile_is_told_and_not_raised():
    reader = MemoryReader(Source([400 * MB] * 3))
    change = memory_change(reader, (400 * MB,) * 7, 1_000_000_000, sleep=lambda s: None, clock=lambda: 0)
    assert (change.after, change.retained_bytes) == ((), None)
    assert change.missing == "the server's process 12 ended"


def test_a_real_process_that_keeps_50_mb_is_seen_to(child):
    reader = MemoryReader(ProcessTree(child.pid))
    before = take_baseline(reader)
    child.tell("take 50000000")
    kept = memory_change(reader, before, 200_000_000)
    child.tell("free")
    freed = memory_change(reader, before, 200_000_000)
    assert 45 * MB < kept.retained_bytes < 80 * MB
    assert abs(freed.retained_bytes) < 10 * MB


def test_a_real_process_that_frees_late_is_given_the_time(child):
    """It frees 50 MB while it is being waited for."""
    import threading

    reader = MemoryReader(ProcessTree(child.pid))
    before = take_baseline(reader)
    child.tell("take 50000000")
    late = threading.Timer(0.8, child.tell, ["free"])
    late.start()
    began = time.monotonic()
    change = memory_change(reader, before, 20_000_000_000)
    late.join()
    assert change.retained_bytes < 10 * MB
    assert 0.5 < time.monotonic() - began < 15

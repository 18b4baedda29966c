"""When a load that goes on is looked at: seldom enough to cost little, often enough to end soon."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pytest_llmserve.measure.looks import Looks, next_due_ns, next_look

MS = 1_000_000


class FakeRun:
    """Requests become known as time passes; a look takes as long as it is told."""

    def __init__(self, per_s: float, look_ms: float = 0) -> None:
        self.now_ns, self.per_s, self.look_ms = 0, per_s, look_ms
        self.looked, self.drains = [], 0

    def known(self) -> int:
        return int(self.now_ns / 1e9 * self.per_s)

    def so_far(self) -> str:
        self.looked.append((self.now_ns // MS, self.known()))
        self.now_ns += int(self.look_ms * MS)
        return f"{self.looked[-1][1]} requests"

    def drain(self) -> None:
        self.drains += 1

    def play(self, seconds, decided=lambda so_far: False):
        """As the load's wait does: called several times a second."""
        looks, end_ns = Looks(self, decided, lambda: self.now_ns), self.now_ns + seconds * 1000 * MS
        while self.now_ns < end_ns:
            looks.look()
            self.now_ns += 100 * MS
        return [known for _, known in self.looked]


@pytest.mark.parametrize(
    ("seen", "then"), [(0, 20), (20, 40), (199, 219), (200, 220), (201, 222), (5000, 5500)]
)
def test_a_look_waits_for_twenty_more_requests_and_a_tenth_more(seen, then):
    assert next_look(seen) == then


@pytest.mark.parametrize(
    ("took_ms", "after_ms"),
    [(0, 500), (50, 500), (51, 510), (3000, 30_000)],
)
def test_looking_takes_a_tenth_of_the_time_at_most(took_ms, after_ms):
    """Half a second apart at the least; ten times as long as the last one took."""
    assert next_due_ns(7 * MS, (7 + took_ms) * MS) == (7 + after_ms) * MS


def test_looks_grow_apart_as_requests_grow():
    """Each with a tenth more than the last: a hundred thousand requests are no hundred thousand looks."""
    known = FakeRun(per_s=1000).play(100)
    assert known[0] <= 600
    assert all(after >= next_look(before) for before, after in pairwise(known))
    assert 30 < len(known) < 60
    assert known[-1] > 90_000


def test_a_slow_load_is_looked_at_by_twenties():
    assert FakeRun(per_s=10).play(11) == [20, 40, 60, 80, 100]


def test_looks_that_take_long_are_few():
    run = FakeRun(per_s=10_000, look_ms=2000)
    run.play(100)
    assert len(run.looked) * 2 <= 10 + 2


def test_a_decided_load_is_drained_once_and_left_alone():
    """What the look was at is what is asked about."""
    run, asked = FakeRun(per_s=100), []

    def decided(so_far):
        asked.append(so_far)
        return len(asked) == 3

    run.play(30, decided)
    assert asked == [f"{known} requests" for _, known in run.looked]
    assert (len(asked), run.drains) == (3, 1)

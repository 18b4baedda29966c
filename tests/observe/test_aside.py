"""A probe in a thread of its own: nobody waits for it, and nothing it says is told twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S
from pytest_llmserve.observe.aside import Aside, hurried_ns
from pytest_llmserve.observe.sampler import Sampler

MINUTE_NS = 60 * NS_PER_S


class Slow:
    """A probe whose readings return when the test lets them: each `go` is one.

    Attributes:
        lost: raised by the next reading that is let go.
        began: set while a reading is under way.
    """

    source = "gpu"
    missing: str | None = None

    def __init__(self) -> None:
        self.go, self.began = threading.Semaphore(0), threading.Event()
        self.lost: Exception | None = None
        self.readings = 0
        self.asked_full: list[bool] = []
        self.at_s: list[float] = []
        self.closed_in: list[str] = []

    def read(self, full: bool) -> dict[str, int]:
        self.asked_full.append(full)
        self.at_s.append(time.monotonic())
        self.began.set()
        assert self.go.acquire(timeout=30)
        self.began.clear()
        if self.lost is not None:
            raise self.lost
        self.readings += 1
        return {"gpu_bytes": self.readings}

    def close(self) -> None:
        self.closed_in.append(threading.current_thread().name)


@pytest.fixture
def slow() -> Iterator[Slow]:
    probe = Slow()
    yield probe
    for _ in range(100):  # whatever still waits returns
        probe.go.release()


def told(aside: Aside) -> object:
    """What it hands over next, or why it is lost."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if readings := aside.read(False):
                return readings
        except ProbeLost as lost:
            return str(lost)
        time.sleep(0.002)
    raise AssertionError("nothing was handed over in 10 s")


def test_a_reading_is_not_waited_for_and_handed_over_once(slow):
    with closing(Aside(slow, MINUTE_NS)) as aside:
        assert aside.read(False) == {}
        slow.go.release()
        assert told(aside) == {"gpu_bytes": 1}
        assert aside.read(False) == {}
        assert aside.missing is None


def test_readings_follow_each_other_by_the_period(slow):
    """A sampler that comes late gets the last of them alone."""
    with closing(Aside(slow, NS_PER_MS)) as aside:
        aside.read(False)
        for _ in range(3):
            slow.go.release()
        while slow.readings < 3 or not slow.began.wait(1):
            time.sleep(0.001)
        assert told(aside) == {"gpu_bytes": 3}
        slow.go.release()


def test_a_hurry_reads_at_once_and_close_together_until_it_is_over(slow):
    """Two readings long before a minute is over; none when it has ended."""
    with closing(Aside(slow, MINUTE_NS)) as aside:
        for _ in range(3):
            slow.go.release()
        assert told(aside) == {"gpu_bytes": 1}
        aside.hurry(time.monotonic_ns() + MINUTE_NS, NS_PER_MS)
        assert told(aside)["gpu_bytes"] in (2, 3)
        assert slow.began.wait(10), "a fourth reading is under way"
        aside.hurry(0, NS_PER_MS)
        slow.go.release()
        slow.go.release()
        while slow.readings < 5:  # the second hurry reads once more, at once
            time.sleep(0.002)
        time.sleep(0.05)
        assert not slow.began.is_set()


@pytest.mark.parametrize(("took_ms", "period_ms"), [(0, 25), (2, 25), (6, 60), (99, 990), (600, 1000)])
def test_in_a_hurry_a_page_that_takes_long_is_not_asked_for_all_the_time(took_ms, period_ms):
    assert hurried_ns(1000 * NS_PER_MS, 25 * NS_PER_MS, took_ms * NS_PER_MS) == period_ms * NS_PER_MS


def test_a_fresh_reading_begins_after_it_is_asked_for(slow):
    """Not the one under way, which may be older than what the caller has just done."""
    with closing(Aside(slow, MINUTE_NS)) as aside:
        aside.read(False)
        assert slow.began.wait(10)
        for pause_s in (0.05, 0.15):  # the one under way, then the other
            threading.Timer(pause_s, slow.go.release).start()
        assert aside.fresh() == {"gpu_bytes": 2}
        assert slow.asked_full == [False, True]


def test_a_reading_that_hangs_is_given_up_and_told(slow):
    """In the words of its figures, to whoever samples and to whoever waits for a fresh one."""
    now = [0]
    aside = Aside(slow, MINUTE_NS, "GPU figures", deadline_ns=3 * NS_PER_S, clock=lambda: now[0])
    aside.read(False)
    assert slow.began.wait(10)
    assert aside.read(False) == {}
    now[0] = 4 * NS_PER_S
    why = "GPU figures are no longer read, because a reading did not return within 3 s"
    assert (told(aside), aside.missing) == (why, why)
    with pytest.raises(ProbeLost, match=why):
        aside.fresh()
    aside.close()
    assert slow.closed_in == []
    slow.go.release()
    while not slow.closed_in:
        time.sleep(0.001)
    assert slow.closed_in == ["llmserve-gpu"]


def test_a_fresh_reading_that_hangs_is_not_waited_for_for_ever(slow):
    with (
        closing(Aside(slow, MINUTE_NS, deadline_ns=50 * NS_PER_MS)) as aside,
        pytest.raises(ProbeLost, match=r"^gpu figures are no longer read, .* within 0.05 s$"),
    ):
        aside.fresh()


def test_who_waits_for_a_fresh_reading_is_told_when_another_gives_the_probe_up(slow):
    """At once: the sampler, which looks a few times a second, sees first that a reading hangs."""
    now = [0]
    aside = Aside(slow, MINUTE_NS, deadline_ns=5 * NS_PER_S, clock=lambda: now[0])

    def look():
        now[0] = 6 * NS_PER_S
        assert told(aside) == "gpu figures are no longer read, because a reading did not return within 5 s"

    timer = threading.Timer(0.1, look)
    timer.start()
    began = time.monotonic()
    with closing(aside), pytest.raises(ProbeLost, match="did not return within 5 s"):
        aside.fresh()
    assert time.monotonic() - began < 3
    timer.join(10)


def test_the_deadline_counts_from_the_beginning_of_the_reading_under_way(slow):
    """Whoever asks while a reading hangs waits for what is left of it."""
    aside = Aside(slow, MINUTE_NS, deadline_ns=NS_PER_S)
    began = time.monotonic()
    aside.read(False)
    assert slow.began.wait(10)
    with closing(aside), pytest.raises(ProbeLost, match="did not return within 1 s"):
        aside.fresh()
    assert time.monotonic() - began < 1.7


def test_a_closed_probe_that_was_never_read_has_no_fresh_reading(slow):
    """Nobody is left to read it."""
    aside = Aside(slow, MINUTE_NS, "GPU figures")
    aside.close()
    with pytest.raises(ProbeLost, match=r"^GPU figures are no longer read$"):
        aside.fresh()


def test_costly_readings_come_less_often(slow):
    """50 ms of CPU each, a tenth of a core: half a second apart. The first, which opens things, is free."""
    for _ in range(100):
        slow.go.release()
    spent_s = iter(range(1000))
    with closing(Aside(slow, NS_PER_MS, share=0.1, cpu_s=lambda: 0.05 * next(spent_s))) as aside:
        aside.read(False)
        while len(slow.at_s) < 3:
            time.sleep(0.001)
    gaps = [after - before for before, after in pairwise(slow.at_s)]
    assert gaps[1] >= 0.49
    assert gaps[0] < gaps[1]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ProbeLost("the GPU is gone"), "the GPU is gone"),
        (ZeroDivisionError("by 0"), "the probe of gpu figures failed: ZeroDivisionError: by 0"),
    ],
    ids=["lost", "our fault"],
)
def test_a_probe_that_is_lost_tells_its_last_reading_first(error, why, slow):
    with closing(Aside(slow, NS_PER_MS)) as aside:
        aside.read(False)
        slow.go.release()
        while slow.readings < 1 or not slow.began.wait(1):
            time.sleep(0.001)
        slow.lost = error
        slow.go.release()
        while aside.missing is None:
            time.sleep(0.001)
        assert [told(aside), told(aside)] == [{"gpu_bytes": 1}, why]


def test_a_probe_that_never_answered_says_so_when_it_is_closed(slow):
    aside = Aside(slow, MINUTE_NS, "GPU figures")
    aside.read(False)
    slow.lost = ProbeLost("later")
    threading.Timer(0.05, slow.go.release).start()
    aside.close()
    assert aside.missing == (
        "GPU figures are not available, because no reading had returned when the test was over"
    )


def test_a_probe_that_was_never_asked_is_closed_all_the_same(slow):
    Aside(slow, MINUTE_NS).close()
    assert slow.closed_in == ["MainThread"]


def test_the_grid_of_the_sampler_goes_on_while_a_reading_hangs(slow):
    """And a closed sampler does not wait for it either."""

    class Quick:
        source, missing = "process", None

        def read(self, full: bool) -> dict[str, int]:
            return {"processes": 1}

        def close(self) -> None:
            """Nothing."""

    sampler = Sampler([Quick(), Aside(slow, NS_PER_MS)], period_ns=5 * NS_PER_MS)
    sampler.start()
    deadline = time.monotonic() + 10
    while len(sampler.window().samples) < 20 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(sampler.window().samples) >= 20
    for _ in range(1000):
        slow.go.release()
    sampler.stop()

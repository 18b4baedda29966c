"""The sampling thread: its grid, its ends, its memory."""

from __future__ import annotations

import threading
import time

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import GPU, METRICS, PROCESS
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S
from pytest_llmserve.observe.process_tree import ProcessTree
from pytest_llmserve.observe.sampler import HELD_UP_SHARE, JUDGED_SHARE, Budget, Hurry, Sampler, next_on_grid


class Probe:
    """Answers with counted readings; remembers which were full; ends as it is told."""

    source: str = PROCESS
    missing: str | None = None

    def __init__(self, last: int = 10**9, end: Exception | None = None, source: str = PROCESS) -> None:
        self.source, self.closed = source, 0
        self.full: list[bool] = []
        self._last, self._end = last, end or ProbeLost("the server's process 12 ended")

    def read(self, full: bool) -> dict[str, int]:
        if len(self.full) >= self._last:
            raise self._end
        self.full.append(full)
        return {"processes": 1, "rss_bytes": len(self.full)}

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("now", "next_planned"), [(0, 100), (1, 100), (99, 100), (100, 200), (101, 200), (350, 400)]
)
def test_a_late_reading_does_not_shift_the_grid(now, next_planned):
    assert next_on_grid(0, now, 100) == next_planned


class Cpu:
    """Time, of a clock or of a thread's CPU, in which each reading takes as much as we say."""

    def __init__(self, cost_s: float) -> None:
        self._cost_s, self._asked = cost_s, 0

    def __call__(self) -> float:
        self._asked += 1
        return self._asked // 2 * self._cost_s


def test_readings_are_taken_until_stopped_and_few_are_full_where_they_are_dear(until):
    """1 s each: the first, and the next after 1000 s."""
    probe = Probe()
    sampler = Sampler([probe], period_ns=2 * NS_PER_MS, wall_s=Cpu(1.0))
    sampler.start()
    until(lambda: len(sampler.window().samples) >= 22)
    sampler.stop()
    taken = len(probe.full)
    assert probe.full == [True] + [False] * (taken - 1)
    assert [s.rss_bytes for s in sampler.window().samples] == list(range(1, taken + 1))
    assert sampler.absent == {}
    time.sleep(0.02)
    assert len(probe.full) == taken


@pytest.mark.parametrize(
    ("share", "took_s", "full"),
    [
        (HELD_UP_SHARE, 0.000_15, [0, 1, 2, 3]),
        (HELD_UP_SHARE, 0.001, [0, 5, 10, 15]),
        (HELD_UP_SHARE, 0.054, [0, 270, 540]),
        (JUDGED_SHARE, 0.001, [0, 1, 2, 3]),
        (JUDGED_SHARE, 0.054, [0, 54, 108, 162]),
    ],
    ids=["small", "each a second", "4 GB: each 54 s", "judged, small", "judged, 4 GB: each 10.8 s"],
)
def test_the_server_is_held_up_for_a_small_share_of_the_time(share, took_s, full):
    """5 readings a second."""
    budget, taken = Budget(share), []
    for reading in range(600):
        now_ns = reading * 200 * NS_PER_MS
        if budget.affords(now_ns):
            taken.append(reading)
            budget.spend(took_s, now_ns)
    assert taken[:4] == full


class Clock:
    """Nanoseconds that pass as we say."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.mark.parametrize(
    ("memory_judged", "full"), [(False, 1), (True, 4)], ids=["memory is not judged", "memory is judged"]
)
def test_a_hurry_is_full_only_where_memory_is_judged(memory_judged, full):
    """54 ms each, as of 4 GB."""
    probe, clock = Probe(), Clock()
    sampler = Sampler([probe], memory_judged=memory_judged, wall_s=Cpu(0.054), cpu_s=Cpu(0.001), clock=clock)
    sampler.hurry()
    for _ in range(4):
        sampler._timed(clock.now_ns)
        clock.now_ns += 25 * NS_PER_MS
    assert probe.full == [True] * full + [False] * (4 - full)


def test_a_hurry_delays_no_full_reading_after_it():
    """Nor does any of another source; a reading on demand does, as it holds the server up as well."""
    probe, clock = Probe(), Clock()
    sampler = Sampler([probe, Probe(source=GPU)], memory_judged=True, wall_s=Cpu(0.054), clock=clock)
    sampler.hurry()
    sampler._timed(0)
    clock.now_ns = 4 * NS_PER_S
    assert [sampler._timed(clock.now_ns) for _ in range(2)]
    clock.now_ns += 10_800 * NS_PER_MS
    sampler.sample_now()
    sampler._timed(clock.now_ns)
    assert probe.full == [True, True, False, True, False]


def test_the_quickest_full_reading_of_memory_is_told():
    """Whatever else took long meanwhile; None before there is one."""
    took = iter([0.0, 0.08, 1.0, 1.054])
    sampler = Sampler([Probe(), Probe(source=GPU)], wall_s=lambda: next(took))
    assert sampler.window().full_ns is None
    sampler.sample_now()
    assert sampler.window().summary()["full_ms"] == 80.0
    sampler.sample_now()
    assert sampler.window().summary()["full_ms"] == 54.0


def test_all_readings_are_full_where_they_are_cheap(until):
    """10 ns each, every 2 ms: 0.0005 % of the time."""
    probe = Probe()
    sampler = Sampler([probe], period_ns=2 * NS_PER_MS, wall_s=Cpu(0.000_000_01))
    sampler.start()
    until(lambda: len(probe.full) >= 20)
    sampler.stop()
    assert all(probe.full)


def test_a_budget_affords_one_more_when_the_last_is_paid_for():
    """10 ms at 1 % of the time are paid for in a second."""
    budget = Budget(0.01)
    assert budget.affords(0)
    budget.spend(0.01, 5 * NS_PER_S)
    assert not budget.affords(6 * NS_PER_S - 1)
    assert budget.affords(6 * NS_PER_S)
    budget.spend(0.01, 6 * NS_PER_S)
    budget.spend(0.01, 6 * NS_PER_S)
    assert not budget.affords(8 * NS_PER_S - 1)
    assert budget.affords(8 * NS_PER_S)


def test_a_run_that_begins_is_read_more_often_at_once(until):
    """All readings full, close together, long before the next was due."""
    probe = Probe()
    sampler = Sampler([probe], period_ns=600 * NS_PER_S, memory_judged=True, cpu_s=Cpu(0.0001))
    sampler.start()
    until(lambda: len(probe.full) == 1)
    sampler.hurry()
    until(lambda: len(probe.full) >= 12)
    sampler.stop()
    assert all(probe.full)


def test_what_is_read_aside_hurries_too():
    """Until the same instant, as close together."""
    told = []

    class Paced(Probe):
        def hurry(self, until_ns, period_ns):
            told.append((until_ns, period_ns))

    Sampler([Probe(), Paced()], clock=lambda: NS_PER_S).hurry()
    assert told == [(4 * NS_PER_S, 25 * NS_PER_MS)]


def test_a_hurry_ends_with_its_cpu_or_its_time():
    hurry = Hurry()
    assert not hurry.lasts(0)
    hurry.until_ns, hurry.cpu_left_s = 100, 0.1
    assert hurry.lasts(99)
    assert not hurry.lasts(100)
    hurry.cpu_left_s = 0.0
    assert not hurry.lasts(99)


def test_dear_readings_end_a_hurry_soon(until):
    """60 ms each: two of them, and the sampler is back at its pace."""
    probe = Probe()
    sampler = Sampler([probe], period_ns=600 * NS_PER_S, cpu_s=Cpu(0.06))
    sampler.start()
    until(lambda: len(probe.full) == 1)
    sampler.hurry()
    until(lambda: len(probe.full) == 3)
    time.sleep(0.2)
    sampler.stop()
    assert len(probe.full) == 3


def test_lateness_and_cost_are_its_own_and_recorded(until):
    sampler = Sampler([Probe()], period_ns=2 * NS_PER_MS)
    sampler.start()
    until(lambda: len(sampler.window().samples) >= 20)
    sampler.stop()
    samples = sampler.window().samples
    assert all(s.late_ns >= 0 for s in samples)
    assert min(s.late_ns for s in samples) < 100 * NS_PER_MS
    assert 0 < sampler.cost_s < 5


def test_a_lost_probe_ends_sampling_with_its_reason(until):
    sampler = Sampler([Probe(last=3)], period_ns=NS_PER_MS)
    sampler.start()
    until(lambda: bool(sampler.absent))
    window = sampler.window()
    assert len(window.samples) == 3
    assert window.missing == "the server's process 12 ended"
    sampler.stop()


def test_a_fault_of_the_probe_itself_is_told_too(until):
    sampler = Sampler([Probe(last=0, end=ZeroDivisionError("division by zero"))])
    sampler.start()
    until(lambda: bool(sampler.absent))
    assert sampler.window().missing == "the resource probe failed: ZeroDivisionError: division by zero"
    sampler.stop()


def test_a_window_is_bounded_on_both_sides():
    stamps = iter([10, 20, 30, 40])
    sampler = Sampler([Probe()], clock=lambda: next(stamps))
    for _ in range(4):
        sampler.sample_now()
    assert [s.at_ns for s in sampler.window().samples] == [10, 20, 30, 40]
    assert [s.at_ns for s in sampler.window(20, 30).samples] == [20, 30]
    assert [s.at_ns for s in sampler.window(start_ns=25).samples] == [30, 40]
    assert [s.at_ns for s in sampler.window(stop_ns=25).samples] == [10, 20]


def test_a_reading_on_demand_is_a_full_one_and_kept():
    probe = Probe()
    sampler = Sampler([probe])
    assert sampler.sample_now() == sampler.window().samples[0]
    assert probe.full == [True]


def test_a_reading_on_demand_of_a_lost_probe_is_refused():
    with pytest.raises(ProbeLost, match=r"^the server's process 12 ended$"):
        Sampler([Probe(last=0)]).sample_now()


def test_stopping_twice_or_before_the_start_does_nothing():
    sampler = Sampler([Probe()])
    sampler.stop()
    sampler = Sampler([Probe()])
    sampler.start()
    sampler.stop()
    sampler.stop()
    assert sampler.absent == {}


class Hanging(Probe):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.release = threading.Event(), threading.Event()

    def read(self, full: bool) -> dict[str, int]:
        self.begun.set()
        self.release.wait(20)
        return super().read(full)


def test_a_reading_that_hangs_is_said_to():
    """To whoever stops or asks for one more; what was read before can be had all the while."""
    probe = Hanging()
    sampler = Sampler([probe])
    sampler.start()
    assert probe.begun.wait(20)
    assert sampler.window().samples == ()
    hangs = r"^a resource reading did not return within 0\.05 s$"
    with pytest.raises(ProbeLost, match=hangs):
        sampler.sample_now(deadline_s=0.05)
    with pytest.raises(ProbeLost, match=hangs):
        sampler.stop(deadline_s=0.05)
    assert probe.closed == 1
    probe.release.set()
    sampler.stop()


def test_a_probe_that_is_lost_does_not_end_the_others(until):
    """Its reason stands under its source; one that was never there is not asked."""
    lost, absent, well = Probe(last=1, source=GPU), Probe(source=METRICS), Probe()
    absent.missing = "metrics are not available, because nobody tells"
    lost._end = ProbeLost("the GPU is lost")
    sampler = Sampler([lost, absent, well], period_ns=NS_PER_MS)
    sampler.start()
    until(lambda: len(well.full) >= 5)
    sampler.stop()
    assert (len(lost.full), absent.full) == (1, [])
    window = sampler.window()
    assert window.missing is None
    assert window.absent == {GPU: "the GPU is lost", METRICS: absent.missing}
    assert (window.why("gpu_mb"), window.why("queue"), window.why("rss_mb")) == (
        "the GPU is lost",
        absent.missing,
        None,
    )


def test_a_source_that_one_of_two_probes_tells_is_not_absent():
    """A driver and an exporter; what has nothing to say about it adds no reason."""
    driver, exporter = Probe(source=GPU), Probe(source=GPU)
    driver.missing = "no driver"
    sampler = Sampler([driver, exporter, Probe()])
    assert sampler.window().absent == {}
    exporter.missing = ""
    assert sampler.window().absent == {GPU: "no driver"}
    driver.missing = ""
    assert sampler.window().absent == {}


def test_what_is_missing_for_a_while_is_read_again(until):
    """Also where there is nothing else to read: a server that starts anew tells its metrics later."""
    probe = Probe(source=METRICS)
    sampler = Sampler([probe], period_ns=NS_PER_MS)
    sampler.start()
    until(lambda: len(probe.full) >= 2)
    probe.missing = "did not answer"
    until(lambda: sampler.last("rss_bytes") is None)
    assert sampler.window().absent == {METRICS: "did not answer"}
    probe.missing, before = None, len(probe.full)
    until(lambda: len(probe.full) > before)
    sampler.stop()
    assert sampler.window().absent == {}


def test_a_slower_pace_is_kept(until):
    """The reading under way is waited for; the next is as far away as was said."""
    probe = Probe()
    sampler = Sampler([probe], period_ns=NS_PER_MS)
    sampler.start()
    until(lambda: len(probe.full) >= 3)
    sampler.pace(600 * NS_PER_S)
    time.sleep(0.05)
    taken = len(probe.full)
    time.sleep(0.1)
    sampler.stop()
    assert len(probe.full) == taken


def test_a_long_watch_is_thinned_and_its_period_doubled():
    stamps = iter(range(10_000))
    sampler = Sampler([Probe()], period_ns=200, most_samples=100, clock=lambda: next(stamps))
    for _ in range(1000):
        sampler.sample_now()
    kept = [s.at_ns for s in sampler.window().samples]
    assert 40 < len(kept) <= 101
    assert kept == sorted(kept)
    assert kept[0] < 100
    assert kept[-1] == 999
    assert sampler.period_ns > 200


def test_a_real_process_is_watched_until_it_ends(child, until):
    tree = ProcessTree(child.pid)
    sampler = Sampler([tree], period_ns=5 * NS_PER_MS)
    sampler.start()
    child.tell("take 50000000")
    until(lambda: (sampler.window().peak("rss_mb") or 0) > 50)
    child.end()
    until(lambda: bool(sampler.absent))
    sampler.stop()
    assert sampler.absent == {PROCESS: f"the server's process {child.pid} ended"}
    assert sampler.window().peak("uss_mb") is not None

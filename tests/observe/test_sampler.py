"""The sampling thread: its grid, its ends, its memory."""

from __future__ import annotations

import threading
import time

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import ResourceSample
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S
from pytest_llmserve.observe.process_tree import ProcessTree
from pytest_llmserve.observe.sampler import Budget, Hurry, Sampler, next_on_grid, thinned


def sample(at_ns: int, rss_bytes: int = 1, **figures) -> ResourceSample:
    return ResourceSample(at_ns=at_ns, processes=1, rss_bytes=rss_bytes, **figures)


class Probe:
    """Answers with counted samples; remembers which were full; ends as it is told."""

    def __init__(self, last: int = 10**9, end: Exception | None = None) -> None:
        self.full: list[bool] = []
        self._last, self._end = last, end or ProbeLost("the server's process 12 ended")

    def __call__(self, full: bool) -> ResourceSample:
        if len(self.full) >= self._last:
            raise self._end
        self.full.append(full)
        return sample(time.monotonic_ns(), rss_bytes=len(self.full))


@pytest.mark.parametrize(
    ("now", "next_planned"), [(0, 100), (1, 100), (99, 100), (100, 200), (101, 200), (350, 400)]
)
def test_a_late_reading_does_not_shift_the_grid(now, next_planned):
    assert next_on_grid(0, now, 100) == next_planned


class Cpu:
    """CPU time of a thread in which each reading costs as much as we say."""

    def __init__(self, cost_s: float) -> None:
        self._cost_s, self._asked = cost_s, 0

    def __call__(self) -> float:
        self._asked += 1
        return self._asked // 2 * self._cost_s


def test_readings_are_taken_until_stopped_and_every_fifth_is_full_where_they_are_dear(until):
    probe = Probe()
    sampler = Sampler(probe, period_ns=2 * NS_PER_MS, cpu_s=Cpu(1.0))
    sampler.start()
    until(lambda: len(sampler.window().samples) >= 12)
    sampler.stop()
    taken = len(probe.full)
    assert probe.full == [i % 5 == 0 for i in range(taken)]
    assert [s.rss_bytes for s in sampler.window().samples] == list(range(1, taken + 1))
    assert sampler.missing is None
    time.sleep(0.02)
    assert len(probe.full) == taken


def test_all_readings_are_full_where_they_are_cheap(until):
    """1 us each, every 2 ms: 0.05 % of a core."""
    probe = Probe()
    sampler = Sampler(probe, period_ns=2 * NS_PER_MS, cpu_s=Cpu(0.000_001))
    sampler.start()
    until(lambda: len(probe.full) >= 20)
    sampler.stop()
    assert all(probe.full)


def test_a_budget_affords_one_more_when_the_last_is_paid_for():
    """10 ms at 1 % of a core are paid for in a second."""
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
    sampler = Sampler(probe, period_ns=600 * NS_PER_S, cpu_s=Cpu(0.0001))
    sampler.start()
    until(lambda: len(probe.full) == 1)
    sampler.hurry()
    until(lambda: len(probe.full) >= 12)
    sampler.stop()
    assert all(probe.full)


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
    sampler = Sampler(probe, period_ns=600 * NS_PER_S, cpu_s=Cpu(0.06))
    sampler.start()
    until(lambda: len(probe.full) == 1)
    sampler.hurry()
    until(lambda: len(probe.full) == 3)
    time.sleep(0.2)
    sampler.stop()
    assert len(probe.full) == 3


def test_lateness_and_cost_are_its_own_and_recorded(until):
    sampler = Sampler(Probe(), period_ns=2 * NS_PER_MS)
    sampler.start()
    until(lambda: len(sampler.window().samples) >= 20)
    sampler.stop()
    samples = sampler.window().samples
    assert all(s.late_ns >= 0 for s in samples)
    assert min(s.late_ns for s in samples) < 100 * NS_PER_MS
    assert 0 < sampler.cost_s < 5


def test_a_lost_probe_ends_sampling_with_its_reason(until):
    sampler = Sampler(Probe(last=3), period_ns=NS_PER_MS)
    sampler.start()
    until(lambda: sampler.missing is not None)
    window = sampler.window()
    assert len(window.samples) == 3
    assert window.missing == "the server's process 12 ended"
    sampler.stop()


def test_a_fault_of_the_probe_itself_is_told_too(until):
    sampler = Sampler(Probe(last=0, end=ZeroDivisionError("division by zero")))
    sampler.start()
    until(lambda: sampler.missing is not None)
    assert sampler.window().missing == "the resource probe failed: ZeroDivisionError: division by zero"
    sampler.stop()


def test_a_window_is_bounded_on_both_sides():
    stamps = iter([10, 20, 30, 40])
    sampler = Sampler(lambda full: sample(next(stamps)))
    for _ in range(4):
        sampler.sample_now()
    assert [s.at_ns for s in sampler.window().samples] == [10, 20, 30, 40]
    assert [s.at_ns for s in sampler.window(20, 30).samples] == [20, 30]
    assert [s.at_ns for s in sampler.window(start_ns=25).samples] == [30, 40]
    assert [s.at_ns for s in sampler.window(stop_ns=25).samples] == [10, 20]


def test_a_reading_on_demand_is_a_full_one_and_kept():
    probe = Probe()
    sampler = Sampler(probe)
    assert sampler.sample_now() == sampler.window().samples[0]
    assert probe.full == [True]


def test_a_reading_on_demand_of_a_lost_probe_is_refused():
    with pytest.raises(ProbeLost, match=r"^the server's process 12 ended$"):
        Sampler(Probe(last=0)).sample_now()


def test_stopping_twice_or_before_the_start_does_nothing():
    sampler = Sampler(Probe())
    sampler.stop()
    sampler = Sampler(Probe())
    sampler.start()
    sampler.stop()
    sampler.stop()
    assert sampler.missing is None


def test_a_reading_that_hangs_is_said_to():
    release = threading.Event()

    def hang(full: bool) -> ResourceSample:
        release.wait(20)
        return sample(1)

    sampler = Sampler(hang)
    sampler.start()
    with pytest.raises(ProbeLost, match=r"^a resource reading did not return within 0\.05 s$"):
        sampler.stop(deadline_s=0.05)
    release.set()
    sampler.stop()


def test_a_long_watch_is_thinned_and_its_period_doubled():
    stamps = iter(range(10_000))
    sampler = Sampler(lambda full: sample(next(stamps), rss_bytes=5), period_ns=200, most_samples=100)
    for _ in range(1000):
        sampler.sample_now()
    kept = [s.at_ns for s in sampler.window().samples]
    assert 40 < len(kept) <= 101
    assert kept == sorted(kept)
    assert kept[0] < 100
    assert kept[-1] == 999
    assert sampler.period_ns > 200


def test_thinning_keeps_the_peak_of_every_figure():
    samples = [sample(i, rss_bytes=100) for i in range(100)]
    samples[30] = sample(30, rss_bytes=90, threads=40)
    samples[31] = sample(31, rss_bytes=500)
    samples[50] = sample(50, rss_bytes=80, cpu_percent=300.0)
    kept = thinned(samples)
    assert len(kept) == 51
    assert {30, 31, 50} <= {s.at_ns for s in kept}


def test_thinning_does_not_lift_the_past():
    """Of readings that go up and down, as many of either are kept: else later ones would seem to fall."""
    samples = [sample(i, rss_bytes=110 if (i // 2 + i) % 2 else 90) for i in range(400)]
    kept = thinned(samples)
    assert sum(s.rss_bytes for s in kept) / len(kept) == pytest.approx(100, abs=1)


def test_thinning_keeps_the_costly_readings():
    samples = [sample(i, rss_bytes=100, uss_bytes=90 if i % 2 else None) for i in range(100)]
    assert all(s.uss_bytes == 90 for s in thinned(samples) if s.at_ns > 1)


def test_a_real_process_is_watched_until_it_ends(child, until):
    tree = ProcessTree(child.pid)
    sampler = Sampler(tree.read, period_ns=5 * NS_PER_MS)
    sampler.start()
    child.tell("take 50000000")
    until(lambda: (sampler.window().peak("rss_mb") or 0) > 50)
    child.end()
    until(lambda: sampler.missing is not None)
    sampler.stop()
    assert sampler.missing == f"the server's process {child.pid} ended"
    assert sampler.window().peak("uss_mb") is not None

"""When the requests of an open loop are due: instants without a clock."""

from __future__ import annotations

import math
import tracemalloc
from itertools import islice

import pytest
from scipy import stats

from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.load.schedule import Arrival, Schedule, instants

S = NS_PER_S
CLIMB = (Stage(0, 100, 20 * S), Stage(100, 100, 5 * S), Stage(100, 20, 10 * S))


def taken(count, **plan):
    return list(islice(instants(LoadPlan(**plan)), count))


def climbed(at_s):
    """Arrivals that CLIMB wants until an instant: its integral, by hand."""
    first = min(at_s, 20.0)
    second = min(max(0.0, at_s - 20), 5.0)
    third = min(max(0.0, at_s - 25), 10.0)
    return 2.5 * first**2 + 100 * second + 100 * third - 4 * third**2


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("rate", [0.5, 40.0, 3000.0])
def test_poisson_gaps_are_exponential(rate, seed):
    """Kolmogorov and Smirnov do not reject it at 1 %, and neighbours tell nothing of each other."""
    at = taken(4000, rate=rate, seed=seed)
    gaps = [(b - a) / S for a, b in zip([0, *at], at, strict=False)]
    assert stats.kstest(gaps, stats.expon(scale=1 / rate).cdf).pvalue > 0.01
    assert stats.pearsonr(gaps[:-1], gaps[1:]).pvalue > 0.01


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_climbing_rate_is_a_poisson_process_of_that_rate(seed):
    """Arrivals moved by the integral of the rate are those of a plain Poisson process."""
    at = taken(10**6, rate_stages=CLIMB, seed=seed)
    assert climbed(35.0) == pytest.approx(2100)
    assert abs(len(at) - 2100) < 4 * math.sqrt(2100)
    moved = [climbed(ns / S) for ns in at]
    gaps = [b - a for a, b in zip([0, *moved], moved, strict=False)]
    assert stats.kstest(gaps, stats.expon.cdf).pvalue > 0.01


@pytest.mark.parametrize("rate", [0.3, 7.0, 1000.0])
def test_constant_arrivals_are_exactly_i_over_rate(rate):
    """The first at once; no drift in a million."""
    at = taken(1000, rate=rate, arrival="constant")
    assert at == [round(i * S / rate) for i in range(1000)]
    (last,) = islice(instants(LoadPlan(rate=rate, arrival="constant")), 999_999, 1_000_000)
    assert abs(last - 999_999 * S / rate) <= 1 + last * 1e-15


def test_constant_arrivals_climb_with_the_rate():
    """Each whole number of the integral is one arrival."""
    at = taken(10**6, rate_stages=CLIMB, arrival="constant")
    assert len(at) == 2100
    assert [climbed(ns / S) for ns in at] == pytest.approx(list(range(2100)), abs=1e-5)


def test_a_stage_at_rate_0_is_a_pause():
    at = taken(100, rate_stages=(Stage(2, 2, S), Stage(0, 0, 5 * S), Stage(2, 2, S)), arrival="constant")
    assert at == [0, S // 2, 6 * S, 6 * S + S // 2]


def test_the_seed_is_the_schedule():
    assert taken(100, rate=5, seed=3) == taken(100, rate=5, seed=3)
    assert taken(100, rate=5, seed=3) != taken(100, rate=5, seed=4)


@pytest.mark.parametrize("workers", [2, 3, 7])
@pytest.mark.parametrize(
    "plan",
    [
        {"rate": 50.0, "requests": 100},
        {"rate": 50.0, "duration_ns": 3 * S, "warm_up_ns": S},
        {"rate_stages": CLIMB, "warm_up_ns": S},
    ],
)
def test_workers_share_one_schedule(plan, workers):
    """Their union is what one worker alone would do: numbers, instants, warm-up, stages and end."""
    alone = Schedule(LoadPlan(**plan, seed=5))
    whole = list(alone)
    parts = [Schedule(LoadPlan(**plan, seed=5, workers=workers), worker) for worker in range(workers)]
    union = [list(part) for part in parts]
    assert sorted((a for part in union for a in part), key=lambda a: a.number) == whole
    assert all(a.number % workers == worker for worker, part in enumerate(union) for a in part)
    assert {part.end_ns for part in parts} == {alone.end_ns}


@pytest.mark.parametrize(
    ("plan", "numbers", "warm", "end_s"),
    [
        pytest.param({"requests": 3}, 3, 0, 3, id="requests end where the next would have been"),
        pytest.param({"requests": 3, "warm_up_ns": 2 * S}, 5, 2, 5, id="warm-up costs no request"),
        pytest.param({"duration_ns": 4 * S}, 4, 0, 4, id="duration"),
        pytest.param({"duration_ns": 4 * S, "warm_up_ns": 2 * S}, 6, 2, 6, id="duration after warm-up"),
        pytest.param({"duration_ns": 4 * S, "requests": 2}, 2, 0, 2, id="requests first"),
        pytest.param({"duration_ns": 4 * S, "requests": 9}, 4, 0, 4, id="time first"),
        pytest.param({"requests": 0}, 0, 0, 0, id="nothing asked for"),
    ],
)
def test_the_end_of_a_schedule(plan, numbers, warm, end_s):
    schedule = Schedule(LoadPlan(rate=1.0, arrival="constant", **plan))
    found = list(schedule)
    assert [a.number for a in found] == list(range(numbers))
    assert sum(a.warm_up for a in found) == warm
    assert schedule.end_ns == end_s * S


def test_arrivals_know_their_stage():
    """The warm-up runs at the first rate and belongs to the first stage."""
    plan = LoadPlan(rate_stages=(Stage(2, 2, S), Stage(4, 4, S)), warm_up_ns=S, arrival="constant", workers=1)
    found = [(a.at_ns / S, a.warm_up, a.stage) for a in Schedule(plan)]
    assert found == [
        (0, True, 0),
        (0.5, True, 0),
        (1, False, 0),
        (1.5, False, 0),
        (2, False, 1),
        (2.25, False, 1),
        (2.5, False, 1),
        (2.75, False, 1),
    ]


def test_a_recorded_trace_keeps_its_instants():
    """A worker's rows carry its numbers; what lies in the warm-up is told."""
    schedule = Schedule(LoadPlan(trace="x", workers=3, warm_up_ns=5), 1, [0, 7, 7], 10)
    assert list(schedule) == [Arrival(1, 0, warm_up=True), Arrival(4, 7), Arrival(7, 7)]
    assert schedule.end_ns == 10, "the whole trace's, not its own last row's"
    without = Schedule(LoadPlan(trace="x", workers=3), 2, [], 10)
    assert (list(without), without.end_ns) == ([], 10)


def test_a_long_schedule_takes_no_memory():
    """Fifty thousand arrivals, walked through: kept, they would take 2 MB."""
    tracemalloc.start()
    try:
        assert sum(1 for _ in Schedule(LoadPlan(rate=1000.0, requests=50_000))) == 50_000
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()

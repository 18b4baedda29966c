"""When a user sends next, as tables: no clock."""

import random

import pytest

from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.load.pacing import (
    Turn,
    backoff_ns,
    connections_of,
    connections_to_open,
    next_turn,
    requests_of,
    start_ns,
    think_ns,
    users_of,
    workers_of,
)

BY_REQUESTS = LoadPlan(users=2, requests=10)
BY_TIME = LoadPlan(users=2, duration_ns=1000)
WARM = LoadPlan(users=2, requests=10, duration_ns=1000, warm_up_ns=500)


@pytest.mark.parametrize(
    ("plan", "elapsed", "pause", "begun", "share", "expected"),
    [
        pytest.param(BY_REQUESTS, 7, 0, 0, 10, Turn(7, warm_up=False), id="at once"),
        pytest.param(BY_REQUESTS, 7, 3, 9, 10, Turn(10, warm_up=False), id="after its pause"),
        pytest.param(BY_REQUESTS, 7, 0, 10, 10, None, id="share used up"),
        pytest.param(BY_REQUESTS, 0, 0, 0, 0, None, id="no share at all"),
        pytest.param(BY_TIME, 999, 0, 0, None, Turn(999, warm_up=False), id="last nanosecond"),
        pytest.param(BY_TIME, 1000, 0, 0, None, None, id="time is over"),
        pytest.param(BY_TIME, 990, 10, 0, None, None, id="time will be over after the pause"),
        pytest.param(WARM, 499, 0, 0, 10, Turn(499, warm_up=True), id="still warming up"),
        pytest.param(WARM, 499, 1, 0, 10, Turn(500, warm_up=False), id="warm after the pause"),
        pytest.param(WARM, 0, 0, 10, 10, Turn(0, warm_up=True), id="warm-up costs no share"),
        pytest.param(
            WARM, 1499, 0, 9, 10, Turn(1499, warm_up=False), id="duration counts from warm-up's end"
        ),
        pytest.param(WARM, 1500, 0, 0, 10, None, id="both bounds: time first"),
        pytest.param(WARM, 600, 0, 10, 10, None, id="both bounds: requests first"),
        pytest.param(LoadPlan(users=1), 10**15, 0, 10**9, None, Turn(10**15, False), id="no bound"),
    ],
)
def test_next_turn(plan, elapsed, pause, begun, share, expected):
    assert next_turn(plan, elapsed, pause, begun, share) == expected


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("total", [0, 1, 6, 100])
def test_shares_add_up(workers, total):
    """No request and no user is lost between workers, or played twice."""
    for users in (1, 2, 3, 7, 50):
        assert sum(requests_of(w, workers, total, users) for w in range(workers)) == total
    users = [user for w in range(workers) for user in users_of(w, workers, total)]
    assert sorted(users) == list(range(total))


@pytest.mark.parametrize(
    ("total", "users", "shares"),
    [
        pytest.param(1000, 3, [667, 333], id="two users and one"),
        pytest.param(1000, 4, [500, 500], id="as many each"),
        pytest.param(25, 4, [13, 12], id="one is left over"),
        pytest.param(8, 5, [5, 3], id="rounded to the nearest"),
        pytest.param(1, 3, [1, 0], id="a single one"),
        pytest.param(8, 5, [3, 3, 2], id="the largest remainder, not the first worker's"),
        pytest.param(12, 5, [5, 3, 2, 2], id="of equal remainders the first"),
        pytest.param(10, 5, [4, 4, 2], id="exactly"),
        pytest.param(7, 2, [4, 3, 0], id="a worker without users has none"),
    ],
)
def test_shares_are_as_the_users(total, users, shares):
    """So that all workers are done at about the same time."""
    workers = len(shares)
    assert [requests_of(worker, workers, total, users) for worker in range(workers)] == shares


@pytest.mark.parametrize(
    ("plan", "workers"),
    [
        ({"users": 5}, 4),
        ({"users": 3}, 3),
        ({"stages": (Stage(1, 2, 9), Stage(1, 1, 9))}, 2),
        ({"rate": 1.0}, 4),
        ({"rate": 1.0, "max_concurrency": 4}, 4),
        ({"rate": 1.0, "max_concurrency": 3}, 3),
        ({"trace": "x", "max_concurrency": 1}, 1),
    ],
)
def test_no_worker_is_without_a_user_or_a_connection(plan, workers):
    """Each would have at least one, and all together more than the plan allows."""
    assert workers_of(LoadPlan(workers=4, **plan)) == workers


def test_no_bound_has_no_share():
    assert requests_of(0, 2, None, 2) is None


def test_ramp_up_spreads_users_evenly():
    """The first at once, the last a step before the end of the ramp-up."""
    plan = LoadPlan(users=4, ramp_up_ns=1000)
    assert [start_ns(plan, user) for user in range(4)] == [0, 250, 500, 750]
    assert start_ns(LoadPlan(users=4), 3) == 0


def test_think_time():
    """A fixed pause is exact; a range is drawn, within its ends, by the seed."""
    assert think_ns(LoadPlan(users=1, think_time_ns=(5, 5)), random.Random(1)) == 5
    plan = LoadPlan(users=1, think_time_ns=(10, 20))
    rng = random.Random(1)
    drawn = [think_ns(plan, rng) for _ in range(500)]
    assert set(drawn) == set(range(10, 21))
    rng = random.Random(1)
    assert drawn == [think_ns(plan, rng) for _ in range(500)]


def test_backoff_doubles_to_a_second():
    assert [backoff_ns(n) // 1_000_000 for n in range(7)] == [0, 100, 200, 400, 800, 1000, 1000]
    assert backoff_ns(10_000) == 1_000_000_000


@pytest.mark.parametrize(
    ("coming", "spare", "busy", "most", "opened"),
    [
        pytest.param(0, 0, 0, 100, 0, id="nothing is due soon"),
        pytest.param(5, 0, 0, 100, 5, id="one for each arrival"),
        pytest.param(5, 3, 50, 100, 2, id="what is idle will serve"),
        pytest.param(5, 9, 0, 100, 0, id="more idle than due"),
        pytest.param(5, 0, 98, 100, 2, id="no more than allowed"),
        pytest.param(5, 2, 98, 100, 0, id="all are open"),
        pytest.param(5, 0, 100, 100, 0, id="all are busy"),
    ],
)
def test_connections_are_opened_ahead_of_need(coming, spare, busy, most, opened):
    assert connections_to_open(coming, spare, busy, most) == opened


def test_workers_share_the_connections():
    """No more in all than allowed, and a few descriptors are left for other things."""
    assert [connections_of(w, 3, 10, 1024) for w in range(3)] == [4, 3, 3]
    assert connections_of(0, 1, 4096, 1024) == 1024 - 32
    assert connections_of(2, 3, 1, 1024) == 1, "a worker without a connection could send nothing"

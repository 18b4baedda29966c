"""From the keywords of a load to its plan."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.load.spec import LoadSpec

S = NS_PER_S


def spec(**keywords):
    return build(LoadSpec, "load", (), keywords)


def fault(**keywords):
    with pytest.raises(MarkerError) as caught:
        spec(**keywords)
    (said,) = caught.value.faults
    return said


def test_a_plan_holds_what_was_asked_for():
    """Durations in nanoseconds, params with max_tokens among them."""
    plan = spec(
        users=20,
        requests=300,
        duration="60s",
        ramp_up="5s",
        warm_up=2.5,
        think_time=("1s", "3s"),
        timeout="30s",
        seed=7,
        max_tokens=64,
        params={"temperature": 0},
        stream=False,
    ).plan(workers=3, retries=2)
    assert (plan.users, plan.requests, plan.duration_ns) == (20, 300, 60 * S)
    assert (plan.ramp_up_ns, plan.warm_up_ns, plan.timeout_ns) == (5 * S, 2_500_000_000, 30 * S)
    assert plan.think_time_ns == (1 * S, 3 * S)
    assert plan.params == {"temperature": 0, "max_tokens": 64}
    assert (plan.seed, plan.stream, plan.workers, plan.retries) == (7, False, 3, 2)


def test_one_user_and_streaming_are_the_default():
    """Only an end must be given."""
    plan = spec(requests=1).plan()
    assert (plan.users, plan.stream, plan.workers, plan.retries) == (1, True, 1, 0)
    assert (plan.duration_ns, plan.warm_up_ns, plan.think_time_ns, plan.params) == (None, 0, (0, 0), {})


@pytest.mark.parametrize(
    ("requests", "scale", "expected"),
    [(300, 1.0, 300), (300, 0.1, 30), (300, 2.5, 750), (3, 0.1, 1), (1, 0.001, 1), (0, 0.1, 0), (0, 10, 0)],
)
def test_scale_multiplies_requests_and_at_least_one_stays(requests, scale, expected):
    """A small scale never makes a test vacuous; none asked for stays none."""
    assert spec(requests=requests).plan(scale=scale).requests == expected


def test_scale_multiplies_lengths_but_not_a_requests_own_times():
    """Think time and timeout belong to one request."""
    plan = spec(duration="60s", ramp_up="10s", warm_up="20s", think_time="2s", timeout="30s").plan(scale=0.5)
    assert (plan.duration_ns, plan.ramp_up_ns, plan.warm_up_ns) == (30 * S, 5 * S, 10 * S)
    assert (plan.think_time_ns, plan.timeout_ns) == ((2 * S, 2 * S), 30 * S)


def test_each_plan_has_a_salt_of_its_own():
    """So that no run is served from the prefix cache of another."""
    load = spec(requests=1)
    assert len({load.plan().salt for _ in range(20)}) == 20


def test_nonce_false_sends_prompts_as_they_are():
    """To test the cache itself."""
    assert spec(requests=1, nonce=False).plan().salt is None


def test_a_seed_is_kept_and_drawn_when_not_given():
    """The drawn one is in the plan, so that the run can be repeated."""
    assert spec(requests=1, seed=0).plan().seed == 0
    assert len({spec(requests=1).plan().seed for _ in range(20)}) > 1


def test_params_win_over_max_tokens():
    """Who writes a field of the request means it."""
    assert spec(requests=1, max_tokens=9, params={"max_tokens": 4}).plan().params == {"max_tokens": 4}


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({}, 'needs an end: requests=300, or duration="60s", or both'),
        ({"requests": 1, "users": 0}, "users: 0 is not a whole number of 1 or more"),
        ({"requests": 1, "users": True}, "users: True is not a whole number of 1 or more"),
        ({"requests": 1.5}, "requests: 1.5 is not a whole number of 0 or more"),
        ({"requests": 1, "timeout": "0s"}, "timeout: 0 leaves no time to answer"),
        (
            {"duration": "60"},
            'duration: \'60\' is not a duration: write "60s", "5m", "1500ms", "4h" or seconds',
        ),
        ({"requests": 1, "think_time": ("1s",)}, 'think_time: (\'1s\',) is not a pair: write ("1s", "3s")'),
        ({"requests": 1, "think_time": (3, 1)}, "think_time: (3, 1) begins with the longer pause"),
        ({"requests": 1, "nonce": "no"}, "nonce: 'no' is not True or False"),
        ({"requests": 1, "seed": -1}, "seed: -1 is not a whole number of 0 or more"),
        (
            {"requests": 1, "params": ["temperature"]},
            "params: ['temperature'] is not a dict of request fields such as {\"temperature\": 0}",
        ),
    ],
)
def test_a_wrong_keyword_says_what_to_write(keywords, said):
    """One sentence a fault."""
    assert fault(**keywords) == said

"""From the keywords of a load to its plan."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.plan import Stage
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.load.spec import LoadSpec, overridden
from pytest_llmserve.shapes import climb, soak, spike, stairs

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


def test_a_plan_knows_its_scale():
    """Checks have durations too, which must stay in proportion."""
    assert (spec(requests=9).plan(scale=0.1).scale, spec(requests=9).plan().scale) == (0.1, 1.0)


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


def test_until_decided_has_a_longest_time():
    """Ten minutes, or what was said; `requests` is a further bound. All are scaled."""
    plan = spec(users=20, until="decided").plan()
    assert (plan.until, plan.duration_ns, plan.requests) == ("decided", 600 * S, None)
    plan = spec(users=20, until="decided", max_duration="2m", requests=500, warm_up="10s").plan(scale=0.1)
    assert (plan.duration_ns, plan.requests, plan.warm_up_ns) == (12 * S, 50, S)
    assert spec(rate=5, until="decided").plan(scale=0.5).duration_ns == 300 * S
    assert spec(users=20, duration="60s").plan().until is None


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"users": 20, "until": "decided"}, "20 users, until decided, at most 10 min"),
        (
            {"rate": 5, "until": "decided", "max_duration": "90s", "requests": 500, "warm_up": 3},
            "5 requests/s, Poisson arrivals, until decided, at most 500 requests or 90 s, warm-up 3 s",
        ),
        ({"users": 2, "requests": 9, "duration": 60}, "2 users, 9 requests, 1 min"),
    ],
)
def test_a_plan_says_where_it_ends(keywords, said):
    assert spec(**keywords).plan().describe() == said


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({}, 'needs an end: requests=300, duration="60s" or both, or until="decided"'),
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
        ({"users": 2, "rate": 3, "requests": 1}, "give users= or rate=, not both"),
        ({"users": 2, "rate": 3, "trace": "x"}, "give users= or rate= or trace=, not 3 of them"),
        ({"rate": 3}, 'needs an end: requests=300, duration="60s" or both, or until="decided"'),
        ({"rate": -1, "requests": 1}, "rate: -1 is not over 0"),
        (
            {"rate": 1, "requests": 1, "arrival": "even"},
            "arrival: 'even' is not known: write 'poisson' or 'constant'",
        ),
        ({"users": 1, "requests": 1, "arrival": "constant"}, "arrival= is for rate= and rate_stages="),
        (
            {"rate": 1, "requests": 1, "think_time": 1},
            "think_time= is for users= and stages=: a schedule does not wait",
        ),
        (
            {"rate": 1, "requests": 1, "ramp_up": 1},
            'ramp_up= is for users=: write a stage that climbs, ((1, 20), "1m")',
        ),
        (
            {"users": 1, "requests": 1, "max_concurrency": 9},
            "max_concurrency= is for rate=, rate_stages= and trace=: users have one connection each",
        ),
        ({"users": 1, "requests": 1, "speed": 2}, "speed= is for trace="),
        ({"trace": 7}, "trace: 7 is not the path of a file"),
        (
            {"rate_stages": [(1, "1s")], "requests": 9},
            "requests= is for users=, rate= and trace=: stages have lengths of their own",
        ),
        ({"stages": 5}, 'stages: 5 is not a list of stages: write [(2, "5m"), ((2, 20), "1m")]'),
        ({"stages": []}, 'stages: [] is not a list of stages: write [(2, "5m"), ((2, 20), "1m")]'),
        (
            {"stages": [(2, "1s"), 3]},
            'stages: stage 2: 3 is not (level, length): write [(2, "5m"), ((2, 20), "1m")]',
        ),
        (
            {"stages": [((1, 2, 3), "1s")]},
            "stages: stage 1: (1, 2, 3) is neither a number nor a pair of numbers:"
            ' write [(2, "5m"), ((2, 20), "1m")]',
        ),
        ({"stages": [(1.5, "1s")]}, "stages: stage 1: 1.5 is not a whole number of 0 or more"),
        ({"rate_stages": [(-1, "1s")]}, "rate_stages: stage 1: -1 is below 0"),
        ({"rate_stages": [(1, 0)]}, "rate_stages: stage 1: has no length"),
        ({"rate_stages": [(0, 5), (0, 1)]}, "rate_stages: no stage is over 0"),
        ({"until": "sure"}, "until: 'sure' is not known: write until=\"decided\""),
        ({"until": "decided", "max_duration": 0}, "max_duration: 0 leaves no time to decide"),
        ({"until": "decided", "duration": 60}, 'until="decided" has no duration=: give max_duration='),
        ({"max_duration": 60}, 'max_duration= is for until="decided": give duration=, or until= too'),
        (
            {"requests": 9, "max_duration": 60},
            'max_duration= is for until="decided": give duration=, or until= too',
        ),
        (
            {"stages": [(2, "1s")], "until": "decided", "max_duration": 60},
            "until= is for users= and rate=: stages and a trace have an end of their own;"
            ' max_duration= is for users= and rate= with until="decided"',
        ),
        (
            {"rate_stages": [(2, "1s")], "until": "decided"},
            "until= is for users= and rate=: stages and a trace have an end of their own",
        ),
        (
            {"trace": "calls.jsonl", "until": "decided"},
            "until= is for users= and rate=: stages and a trace have an end of their own",
        ),
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


def test_a_rate_is_poisson_unless_said_otherwise():
    """And may have as many requests under way as it takes."""
    plan = spec(rate=2.5, requests=9).plan(scale=2)
    assert (plan.rate, plan.arrival, plan.requests, plan.is_open, plan.max_concurrency) == (
        2.5, "poisson", 18, True, 4096,
    )  # fmt: skip
    assert spec(rate=1, duration=1, arrival="constant", max_concurrency=7).plan().max_concurrency == 7


def test_stages_are_scaled_in_length_not_in_level():
    """Users are as many as the fullest stage has."""
    plan = spec(stages=[(2, "5m"), ((2, 20), "1m")]).plan(scale=0.1)
    assert plan.stages == (Stage(2, 2, 30 * S), Stage(2, 20, 6 * S))
    assert (plan.users, plan.measured_ns, plan.rate_stages) == (20, 36 * S, ())
    assert spec(rate_stages=[((0.5, 2), 1)]).plan().rate_stages == (Stage(0.5, 2, S),)


def test_a_trace_lies_in_the_folder_given(tmp_path):
    """A path from the root stays; --llm-scale leaves the instants alone."""
    plan = spec(trace="calls.jsonl", speed=4, requests=10).plan(folder=tmp_path, scale=0.5)
    assert (plan.trace, plan.speed, plan.requests) == (str(tmp_path / "calls.jsonl"), 4, 5)
    assert spec(trace="/x/calls.jsonl").plan(folder=tmp_path).trace == "/x/calls.jsonl"


@pytest.mark.parametrize(
    ("shape", "stages"),
    [
        (spike(1, 9), [(1, 1, 60), (9, 9, 30), (1, 1, 60)]),
        (spike(1, 9, before=5, during="6s", after=7), [(1, 1, 5), (9, 9, 6), (1, 1, 7)]),
        (soak(5), [(5, 5, 8 * 3600)]),
        (stairs(range(10, 31, 10), "2s"), [(10, 10, 2), (20, 20, 2), (30, 30, 2)]),
        (climb(1, 4, 3), [(1, 4, 3)]),
    ],
)
def test_shapes_are_stages(shape, stages):
    """Of users or of rates."""
    expected = tuple(Stage(begin, end, seconds * S) for begin, end, seconds in stages)
    assert spec(stages=shape).stages == spec(rate_stages=shape).rate_stages == expected


FARTHER = {"users": 20, "duration": "60s", "ramp_up": "5s", "max_tokens": 9}


@pytest.mark.parametrize(
    ("closer", "merged"),
    [
        ({"users": 5}, {**FARTHER, "users": 5}),
        ({"requests": 9}, {**FARTHER, "requests": 9}),
        ({"rate": 5}, {"rate": 5, "duration": "60s", "max_tokens": 9}),
        ({"stages": []}, {"stages": [], "max_tokens": 9}),
        ({"rate": 5, "users": 2}, {**FARTHER, "rate": 5, "users": 2}),
    ],
)
def test_a_closer_kind_drops_the_farther_and_what_is_its_own(closer, merged):
    """Two kinds on one level stay two, to be told."""
    assert overridden(FARTHER, closer) == merged


FIXED = {"users": 20, "requests": 300, "duration": "60s"}
OPEN = {"users": 20, "until": "decided", "max_duration": "5m"}


@pytest.mark.parametrize(
    ("farther", "closer", "merged"),
    [
        (FIXED, {"until": "decided"}, {"users": 20, "until": "decided"}),
        (
            FIXED,
            {"until": "decided", "requests": 900},
            {"users": 20, "until": "decided", "requests": 900},
        ),
        (OPEN, {"requests": 300}, {"users": 20, "requests": 300}),
        (OPEN, {"duration": "60s"}, {"users": 20, "duration": "60s"}),
        (OPEN, {"max_duration": "1m"}, {**OPEN, "max_duration": "1m"}),
        (OPEN, {"until": "decided", "users": 5}, {**OPEN, "users": 5}),
        (OPEN, {"rate": 5}, {"rate": 5, "until": "decided", "max_duration": "5m"}),
        (OPEN, {"stages": []}, {"stages": []}),
        (FIXED, {"max_duration": "1m"}, {**FIXED, "max_duration": "1m"}),
        ({**OPEN, "requests": 900}, {"requests": 300}, {"users": 20, "requests": 300}),
    ],
)
def test_a_closer_end_replaces_a_farther_one_of_the_other_kind(farther, closer, merged):
    """So many requests or so long, or until decided; what was said on one level stays together."""
    assert overridden(farther, closer) == merged

"""Which user plays when in a plan with stages, as tables."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.load.pacing import Turn, next_turn
from pytest_llmserve.load.stages import next_within, spans_of, stage_at, stage_starts

UP_DOWN = (Stage(2, 2, 100), Stage(2, 6, 100), Stage(1, 1, 100))


@pytest.mark.parametrize(
    ("stages", "warm_up", "expected"),
    [
        pytest.param((Stage(2, 2, 100),), 0, [[(0, 100)], [(0, 100)], []], id="flat"),
        pytest.param((Stage(1, 1, 100), Stage(2, 2, 50)), 0, [[(0, 150)], [(100, 150)]], id="one more"),
        pytest.param((Stage(2, 2, 100), Stage(1, 1, 50)), 0, [[(0, 150)], [(0, 100)]], id="one less"),
        pytest.param(
            (Stage(0, 4, 100),), 0, [[(0, 100)], [(25, 100)], [(50, 100)], [(75, 100)], []], id="climb"
        ),
        pytest.param((Stage(4, 0, 100),), 0, [[(0, 100)], [(0, 75)], [(0, 50)], [(0, 25)], []], id="fall"),
        pytest.param(UP_DOWN, 0, [[(0, 300)], [(0, 200)], [(100, 200)], [(125, 200)]], id="up and down"),
        pytest.param(
            (Stage(2, 2, 10), Stage(1, 1, 10), Stage(2, 2, 10)),
            0,
            [[(0, 30)], [(0, 10), (20, 30)]],
            id="gone and back",
        ),
        pytest.param((Stage(1, 3, 100),), 40, [[(0, 140)], [(40, 140)], [(90, 140)]], id="warm-up"),
        pytest.param((Stage(0, 0, 50), Stage(1, 1, 50)), 0, [[(50, 100)]], id="begins with a pause"),
    ],
)
def test_users_play_while_the_level_is_over_their_number(stages, warm_up, expected):
    plan = LoadPlan(stages=stages, warm_up_ns=warm_up)
    assert [spans_of(plan, user) for user in range(len(expected))] == expected


@pytest.mark.parametrize(
    ("at", "expected"), [(0, 5), (5, 5), (9, 9), (10, 20), (20, 20), (29, 29), (30, None)]
)
def test_the_next_instant_within_the_spans(at, expected):
    assert next_within([(5, 10), (20, 30)], at) == expected


def test_every_instant_belongs_to_one_stage():
    """The warm-up to the first, what finishes later to the last; a border to the stage it begins."""
    starts = stage_starts(LoadPlan(stages=UP_DOWN, warm_up_ns=50))
    assert starts == [50, 150, 250, 350]
    assert [stage_at(starts, at) for at in (0, 50, 149, 150, 249, 250, 349, 350, 999)] == [
        0, 0, 0, 1, 1, 2, 2, 2, 2,
    ]  # fmt: skip
    assert stage_at(stage_starts(LoadPlan(users=3, duration_ns=9)), 5) == 0


@pytest.mark.parametrize(
    ("elapsed", "pause", "expected"),
    [
        pytest.param(20, 0, Turn(20, warm_up=False), id="plays"),
        pytest.param(20, 15, Turn(60, warm_up=False), id="its pause ends outside: when it is back"),
        pytest.param(0, 0, Turn(10, warm_up=True), id="not begun"),
        pytest.param(80, 0, None, id="has gone for good"),
    ],
)
def test_a_user_sends_only_while_it_plays(elapsed, pause, expected):
    plan = LoadPlan(stages=(Stage(1, 1, 80),), warm_up_ns=15)
    assert next_turn(plan, elapsed, pause, 0, None, [(10, 30), (60, 80)]) == expected


def test_stages_bound_the_run():
    """Their lengths are the measured part, their greatest level the users."""
    plan = LoadPlan(stages=UP_DOWN, warm_up_ns=50, timeout_ns=7, connect_timeout_ns=3)
    assert (plan.measured_ns, plan.deadline_ns, plan.most_users, plan.is_open) == (300, 360, 6, False)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (
            LoadPlan(stages=(Stage(2, 2, 60 * 10**9), Stage(2, 20, 10**9))),
            "users 2 for 1 min, 2 to 20 for 1 s",
        ),
        (
            LoadPlan(rate_stages=tuple(Stage(n, n + 0.5, 60 * 10**9) for n in range(5)), arrival="constant"),
            "5 stages of 0 to 4.5 requests/s, 5 min, constant arrivals",
        ),
        (LoadPlan(rate=12.5, duration_ns=10**9), "12.5 requests/s, Poisson arrivals, 1 s"),
        (LoadPlan(trace="/a/b/calls.jsonl", speed=2), "trace calls.jsonl at speed 2"),
        (LoadPlan(trace="calls.jsonl", requests=9), "trace calls.jsonl, 9 requests"),
    ],
)
def test_a_plan_in_a_line(plan, said):
    assert plan.describe() == said

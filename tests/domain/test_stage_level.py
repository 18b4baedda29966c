"""What a load is at an instant, in a few words."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.stages import level_at, stage_rows

S = 10**9
USERS = LoadPlan(stages=(Stage(1, 8, 4 * S), Stage(8, 8, 5 * S)), warm_up_ns=2 * S)
RATES = LoadPlan(rate_stages=(Stage(2, 20, S), Stage(0.5, 0.5, S)))
TRACE = LoadPlan(trace="/tmp/a, b.jsonl", speed=2)


@pytest.mark.parametrize(
    ("plan", "at_s", "said"),
    [
        (USERS, 0, "1 user (warm-up)"),
        (USERS, 2, "1 to 8 users (1/2)"),
        (USERS, 5.9, "1 to 8 users (1/2)"),
        (USERS, 6, "8 users (2/2)"),
        (USERS, 99, "8 users (2/2)"),
        (RATES, 0, "2 to 20 requests/s (1/2)"),
        (RATES, 1, "0.5 requests/s (2/2)"),
        (LoadPlan(users=20, duration_ns=S), 5, "20 users"),
        (LoadPlan(rate=40, duration_ns=S), 5, "40 requests/s"),
        (TRACE, 5, "trace a, b.jsonl at speed 2"),
    ],
)
def test_the_level_in_force_is_told(plan, at_s, said):
    """That of the stage that runs, the last one's while the last answers come."""
    assert level_at(plan, round(at_s * S)) == said


def test_a_traces_name_is_not_cut_at_a_comma():
    (row,) = stage_rows(TRACE, [], [], (0, S), 0)
    assert row["label"] == "trace a, b.jsonl at speed 2"

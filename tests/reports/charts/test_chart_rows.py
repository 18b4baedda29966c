"""Single requests, kinds of error and marks, on literal requests."""

from __future__ import annotations

import json

import msgspec
import pytest

from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.reports.charts import run_charts
from pytest_llmserve.reports.charts.axis import Axis
from pytest_llmserve.reports.charts.columns import columns_of
from pytest_llmserve.reports.charts.errors import errors
from pytest_llmserve.reports.charts.points import points
from pytest_llmserve.reports.charts.run_marks import run_marks
from pytest_llmserve.reports.charts.slowest import slowest

MS = 1_000_000
S = 1_000 * MS


def pointed(run):
    return points(columns_of(run, Axis.of(run, 0)))


def test_all_of_few_requests_are_points(make):
    """Where each began, how long it took, what became of it; what a failed one lacks is null."""
    gone = make.failed(2, "refused")
    dropped = make.record(3, outcome="dropped", sent_ns=None, end_ns=None, token_ns=())
    found = pointed(make.run([make.record(1, 250), make.record(0), gone, dropped]))
    assert found["outcomes"] == ["ok", "refused", "dropped"]
    assert found["points"] == {
        "at_s": [0.0, 1.0, 2.0, 3.0],
        "e2e_ms": [100.0, 250.0, 100.0, None],
        "ttft_ms": [20.0, 20.0, None, None],
        "id": [0, 1, 2, 3],
        "outcome": [0, 0, 1, 2],
        "shown": 4,
        "of": 4,
    }


def test_of_many_requests_the_failed_and_the_slowest_are_among_the_points(make):
    """2,000 at most, 500 of them failed, the others spread over the run."""
    made = [make.failed(i) if i % 10 == 3 else make.record(i, 100.0 + i % 7) for i in range(9_000)]
    made[4_000] = make.record(4_000, 9_999.0)
    found = pointed(make.run(made))["points"]
    assert (found["shown"], found["of"], len(found["id"])) == (2_000, 9_000, 2_000)
    assert 4_000 in found["id"]
    assert sum(found["outcome"]) == 500
    assert found["at_s"] == sorted(found["at_s"])
    assert max(b - a for a, b in zip(found["id"], found["id"][1:], strict=False)) < 30
    few = pointed(make.run([make.failed(i) if i in {5, 4_999} else make.record(i) for i in range(5_000)]))
    assert {5, 4_999} <= set(few["points"]["id"])


def test_the_slowest_are_told_with_stage_task_and_replica(make):
    """Twenty, slowest first; failed ones too, with what became of them; never those that were not sent."""
    plan = LoadPlan(stages=(Stage(2, 2, 10 * S), Stage(4, 8, 10 * S)))
    made = [make.record(i, 100.0 + i) for i in range(30)]
    made[7] = make.record(7, 5_000.0, stage=1, task="summary", served_by="b:8000", outcome="timed_out")
    made[8] = make.record(8, outcome="dropped", sent_ns=None, end_ns=None)
    rows = slowest(make.run(made, plan=plan), -2 * S)
    assert len(rows) == 20
    assert rows[0] == {
        "id": 7,
        "at_s": 9.0,
        "ttft_ms": 20.0,
        "e2e_ms": 5000.0,
        "output_tokens": 4,
        "outcome": "timed_out",
        "stage": "4 to 8 users",
        "task": "summary",
        "served_by": "b:8000",
    }
    assert [row["id"] for row in rows[1:4]] == [29, 28, 27]
    assert (rows[1]["stage"], rows[1]["task"]) == ("2 users", None)
    assert slowest(make.run([]), 0) == []


def test_failures_that_differ_in_numbers_alone_are_one_kind(make):
    """The most frequent first, with first, last and five examples."""
    full = [make.failed(i, error=f"503: no slot for request {i}") for i in range(8)]
    other = [make.record(8, outcome="timed_out", status=None)]
    rows = errors(make.run([*full, *other, make.record(9)]), 0)
    assert rows == [
        {
            "outcome": "http_5xx",
            "status": 200,
            "error": "503: no slot for request 0",
            "n": 8,
            "first_s": 0.1,
            "last_s": 7.1,
            "ids": [0, 1, 2, 3, 4],
        },
        {
            "outcome": "timed_out",
            "status": None,
            "error": None,
            "n": 1,
            "first_s": 8.1,
            "last_s": 8.1,
            "ids": [8],
        },
    ]
    assert errors(make.run([make.record(0)]), 0) == []


def test_failures_of_too_many_kinds_are_told_together(make):
    """Fifty rows, then a row an outcome."""
    made = [make.failed(i, error="x" * (i + 1)) for i in range(60)]
    made += [make.failed(60 + i, "reset", "y" * (i + 1)) for i in range(5)]
    rows = errors(make.run(made), 0)
    assert len(rows) == 52
    assert [(row["outcome"], row["status"], row["error"], row["n"]) for row in rows[50:]] == [
        ("http_5xx", None, "others", 10),
        ("reset", None, "others", 5),
    ]
    assert sum(row["n"] for row in rows) == 65


def test_marks_of_a_run(make):
    """Warm-up, ramp-up, stages as far as they were, the server gone, an early end; on the test's axis."""
    plan = LoadPlan(
        stages=(Stage(1, 1, 3 * S), Stage(2, 8, 30 * S), Stage(9, 9, S)), warm_up_ns=2 * S, ramp_up_ns=S
    )
    run = make.run([make.record(2), make.record(11)], plan=plan, steady_ns=(2 * S, 12 * S), start_ns=0)
    run.generator = msgspec.structs.replace(
        run.generator,
        ended="interrupted",
        server_gone="from 7 s on, no connection",
        server_gone_ns=7 * S,
        stalls_ns=[(3 * S, 3 * S + 250 * MS)],
    )
    assert run_marks(run, Axis.of(run, -5 * S)) == [
        {"at_s": 5.0, "kind": "warm-up", "label": "warm-up", "until_s": 7.0},
        {"at_s": 5.0, "kind": "ramp-up", "label": "ramp-up", "until_s": 6.0},
        {"at_s": 7.0, "kind": "stage", "label": "1 user", "until_s": 10.0},
        {"at_s": 8.0, "kind": "stall", "label": "the load generator was late, for 250 ms", "until_s": 8.25},
        {"at_s": 10.0, "kind": "stage", "label": "2 to 8 users", "until_s": 17.0},
        {"at_s": 12.0, "kind": "gone", "label": "the server was gone"},
        {"at_s": 17.0, "kind": "ended", "label": "the load ended early: interrupted"},
    ]


def test_a_run_as_planned_has_no_marks(make):
    """Nor one that ended as every limit was decided."""
    run = make.run([make.record(0)])
    assert run_marks(run, Axis.of(run, 0)) == []
    run.generator = msgspec.structs.replace(run.generator, ended="decided")
    assert run_marks(run, Axis.of(run, 0)) == []


def test_rounds_of_a_comparison_have_an_axis_of_their_own(make):
    """Their stamps were moved together: the instants of the test are not theirs."""
    run = make.run([make.record(3), make.record(4)], rounds=2, steady_ns=(3 * S, 5 * S))
    charts = run_charts(run, -100 * S)
    assert (charts["axis"], charts["start_s"], charts["points"]["at_s"]) == ("run", 0.0, [0.0, 1.0])
    plain = run_charts(make.run([make.record(3)], start_ns=2 * S), -100 * S)
    assert (plain["axis"], plain["start_s"], plain["points"]["at_s"]) == ("test", 102.0, [103.0])


@pytest.mark.parametrize("kind", ["none", "failed", "dropped", "one", "conversation", "retried"])
def test_charts_of_any_run_are_plain_finite_data(make, kind):
    """Whatever it consists of."""
    nothing = {"sent_ns": None, "first_byte_ns": None, "end_ns": None, "token_ns": (), "output_tokens": None}
    records = {
        "none": [],
        "failed": [make.failed(i) for i in range(3)],
        "dropped": [make.record(i, outcome="dropped", **nothing) for i in range(3)],
        "one": [make.record(0, token_ns=(), output_tokens=None, tokens_from=None)],
        "conversation": [make.record(i, turn=i + 1) for i in range(3)],
        "retried": [make.failed(0), make.record(0, attempt=2)],
    }[kind]
    charts = run_charts(make.run(records, steady_ns=(0, 0)), 0)
    assert json.loads(json.dumps(charts, allow_nan=False)) == charts
    assert charts["points"]["of"] == len(records)
    names = {"ttft_ms", "itl_ms", "tpot_ms", "e2e_ms"}
    assert set(charts["quantiles"]) == set(charts["histograms"]) == names

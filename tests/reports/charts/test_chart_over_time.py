"""A run in stretches of time, on literal requests."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.stamps import token_stamps
from pytest_llmserve.reports.charts.axis import Axis
from pytest_llmserve.reports.charts.columns import columns_of
from pytest_llmserve.reports.charts.over_time import bins_of, over_time

MS = 1_000_000
S = 1_000 * MS


def told(run, zero_ns=0):
    axis = Axis.of(run, zero_ns)
    return over_time(run, columns_of(run, axis), axis)


@pytest.fixture
def ten(make):
    """A request a second; the fourth fails, each other one takes 100 ms more than the one before."""
    made = [make.record(i, 100.0 + 100 * i) for i in range(10)]
    made[3] = make.failed(3)
    return make.run(made, steady_ns=(0, 10 * S))


def test_requests_are_counted_where_they_were_sent_and_where_they_ended(ten):
    """An answer that came in the next second counts there; a failed one is no throughput."""
    found = told(ten)
    assert found["bin_s"] == 1.0
    assert found["at_s"] == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]
    assert found["sent"] == [1] * 10
    assert found["ok"] == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]  # the last ends with the last stretch
    assert found["failed"] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert found["requests_per_s"] == [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert found["output_tokens_per_s"] == [4.0, 4.0, 4.0, 0.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    assert found["in_flight"] == [0.1, 0.2, 0.3, 0.1, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_latencies_stand_where_the_request_began_and_a_failed_one_is_infinitely_slow(ten):
    """It has no figure that could be drawn, and its place is told."""
    found = told(ten)
    assert found["e2e_ms"]["p50"] == [100.0, 200.0, 300.0, None, 500.0, 600.0, 700.0, 800.0, 900.0, 1000.0]
    assert found["ttft_ms"]["p50"] == [20.0, 20.0, 20.0, None, *[20.0] * 6]
    assert found["tpot_ms"]["p95"] == [10.0, 10.0, 10.0, None, *[10.0] * 6]
    assert sorted(found["tpot_ms"]) == ["p50", "p95"]
    assert found["never"]["e2e_ms"] == {"p50": [3], "p95": [3], "p99": []}
    assert found["never"]["tpot_ms"] == {"p50": [3], "p95": [3]}


def test_failed_requests_reach_the_high_quantiles_first(make):
    """As in the figures of the run; requests that were never sent are none of them."""
    made = [make.record(0, 10.0 + i, id=i) for i in range(17)]
    made += [make.record(0, outcome="http_5xx", token_ns=(), id=17 + i) for i in range(2)]
    made += [make.record(0, outcome="dropped", sent_ns=None, end_ns=None, token_ns=(), id=19)]
    made += [make.record(9, id=30)]
    run = make.run(made, steady_ns=(0, 10 * S))
    found = told(run)
    assert (found["e2e_ms"]["p50"][0], found["e2e_ms"]["p95"][0]) == (19.0, None)  # the tenth of nineteen
    assert found["never"]["e2e_ms"] == {"p50": [], "p95": [0], "p99": []}
    assert found["never"]["ttft_ms"]["p95"] == [0]


def test_a_p99_needs_twenty_requests(make):
    """Of fewer it would be the slowest one under another name."""
    crowded = [make.record(0, 10.0 + i, id=i) for i in range(20)]
    few = [make.record(1, 50.0, id=20 + i) for i in range(19)]
    found = told(make.run([*crowded, *few, make.record(10, 0.0, id=99)], steady_ns=(0, 10 * S)))
    assert found["bin_s"] <= 1.02
    assert found["e2e_ms"]["p99"][0] == 29.0
    assert (found["e2e_ms"]["p99"][1], found["e2e_ms"]["p95"][1]) == (None, 50.0)
    assert found["e2e_ms"]["p50"][0] == 19.0  # nearest rank: the tenth of twenty


def test_tokens_of_an_answer_are_spread_over_the_time_in_which_they_came(make):
    """Also where a silence between two of them is so long that stamps need eight bytes."""
    stamps = token_stamps((S, 2 * S, 9 * S, 9 * S + MS))
    assert stamps.wide
    slow = make.record(0, 10_000.0, token_ns=stamps, output_tokens=40)
    found = told(make.run([slow], steady_ns=(0, 10 * S)))
    assert found["output_tokens_per_s"] == [0.0, 10.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 20.0]
    unknown = make.record(0, 10_000.0, output_tokens=None)
    assert set(told(make.run([unknown]))["output_tokens_per_s"]) == {None}


def test_a_warm_up_counts_in_rates_and_in_no_latency(make):
    """As in the figures."""
    found = told(make.run([make.record(0, warm_up=True), make.record(1)], steady_ns=(S, 2 * S), start_ns=0))
    assert sum(found["sent"]) == sum(found["ok"]) == 2
    assert [value for value in found["e2e_ms"]["p50"] if value is not None] == [100.0]


def test_open_loop_latency_stands_at_the_schedule(make):
    """A request that was sent late counts as sent then, and is as slow as its user saw it."""
    late = make.record(1, 500.0, scheduled_ns=0, from_schedule=True)
    found = told(make.run([late, make.record(9)], steady_ns=(0, 10 * S)))
    assert (found["sent"][0], found["sent"][1]) == (0, 1)
    assert found["e2e_ms"]["p50"][0] == 1500.0


def test_a_request_that_found_no_connection_failed_without_being_sent(make):
    """Every request that was tried is one of those that ended well or badly."""
    refused = make.record(2, outcome="refused", sent_ns=None, first_byte_ns=None, token_ns=())
    lost = make.record(4, outcome="reset", end_ns=None, token_ns=())
    run = make.run([make.record(0), refused, lost, make.record(9)], steady_ns=(0, 10 * S))
    found = told(run)
    assert sum(found["ok"]) + sum(found["failed"]) == len(run.tried)
    assert (sum(found["sent"]), sum(found["failed"]), found["failed"][2], found["failed"][4]) == (3, 2, 1, 1)
    assert found["in_flight"][2] == 0.0


def test_a_run_of_no_length_has_no_stretch(make):
    """No requests at all, or all at one instant."""
    empty = make.run([], steady_ns=(0, 0))
    assert told(empty)["at_s"] == told(empty)["e2e_ms"]["p99"] == []
    dropped = make.run([make.record(0, outcome="dropped", sent_ns=None, end_ns=None)], steady_ns=(0, 0))
    assert told(dropped)["sent"] == []


def test_all_dropped_is_a_run_in_which_nothing_was_sent(make):
    """Nor failed: the server has not seen them."""
    made = [make.record(i, outcome="dropped", sent_ns=None, end_ns=None, token_ns=()) for i in range(5)]
    found = told(make.run(made, steady_ns=(0, 10 * S)))
    assert sum(found["sent"]) == sum(found["failed"]) == sum(found["in_flight"]) == 0
    assert set(found["e2e_ms"]["p50"]) == {None}


@pytest.mark.parametrize(
    ("length_s", "requests", "number"),
    [
        (3600, 200_000, 240),
        (60, 1_000, 60),
        (60, 10, 6),
        (1, 100, 10),
        (0.00001, 5, 1),
        (86_400, 10**6, 288),
    ],
)
def test_stretches_are_round_and_at_most_300(length_s, requests, number):
    bins = bins_of(Axis(0, 0, round(length_s * S)), requests)
    assert bins.number == number

"""Rows of a sweep, its cliff and its sentences, on literal records."""

from __future__ import annotations

import math

from pytest_llmserve.checks.length_cliff import cliff_of, least_jumps_of
from pytest_llmserve.checks.lengths import LeastJump, LengthLimit, LengthSweep, cut_at, row_of
from pytest_llmserve.domain.record import RequestRecord

MS = 1_000_000


def record(number, ttft_ms, e2e_ms, ok=True):
    return RequestRecord(
        id=number,
        scheduled_ns=0,
        sent_ns=0,
        first_byte_ns=ttft_ms * MS,
        end_ns=e2e_ms * MS,
        token_ns=(ttft_ms * MS,) if ok else (),
        status=200,
        outcome="ok" if ok else "timed_out",
        error=None if ok else "no answer within 2 s",
        input_chars=0,
        output_chars=0,
        output_tokens=1,
        tokens_from=None,
        finish_reason=None,
    )


def row(length, ttft_ms=10, e2e_ms=20, n=10, failed=0, tokens=None):
    records = [record(number, ttft_ms, e2e_ms) for number in range(n - failed)]
    return row_of(length, [*records, *(record(n, 1, 1, ok=False) for _ in range(failed))], tokens)


def test_a_failed_request_of_a_length_is_infinitely_slow():
    """As everywhere; one that was refused before the load is a row of one."""
    found = row(80, failed=1)
    assert (found.n, found.failed, found.error) == (10, 1, "no answer within 2 s")
    assert (found.e2e_ms.p50, found.e2e_ms.p90, found.e2e_ms.p99) == (20, 20, math.inf)
    refused = row_of(4000, [], error="400: too long")
    assert (refused.n, refused.failed, refused.error) == (1, 1, "400: too long")
    assert refused.e2e_ms.p50 == math.inf


def test_the_cliff_is_that_of_the_whole_answer_else_of_the_first_token():
    """A jump to three times as much above 60 characters."""
    lengths = [20, 40, 60, 80, 100]
    cliff, why = cliff_of([row(length, 10, 20 if length <= 60 else 60) for length in lengths])
    assert (cliff.metric, cliff.below_chars, cliff.above_chars, why) == ("e2e_ms", 60, 80, None)
    assert str(cliff).startswith(
        "median e2e latency jumps from 20.0 ms at 60 characters to 60.0 ms at 80, where its growth explains"
    )
    cliff, why = cliff_of([row(length, 10 if length <= 60 else 60, 300) for length in lengths])
    assert (cliff.metric, cliff.below_chars, cliff.above_chars, why) == ("ttft_ms", 60, 80, None)
    assert cliff_of([row(length, 10, 20) for length in lengths]) == (None, None)


def test_where_too_little_was_answered_no_cliff_is_denied():
    """Too few lengths; one in the middle whose requests failed; and failures that chance may have made."""
    assert cliff_of([*(row(length) for length in (20, 40, 60)), row(80, n=4)]) == (
        None,
        "3 of 4 lengths have 5 requests or more, and it takes 4 of them to tell a jump from growth:"
        " give more lengths or requests",
    )
    rows = [row(length, failed=6 * (length == 60)) for length in (20, 40, 60, 80, 100)]
    assert cliff_of(rows) == (None, "not judged: 6 of 10 of 60 characters failed (timed_out)")
    few = [*(row(length) for length in (20, 40)), row(60, n=1, failed=1)]
    assert cliff_of(few) == (None, "not judged: 1 of 1 of 60 characters failed (timed_out)")


def test_a_length_from_which_on_requests_fail_is_a_cliff():
    """Though the latency of those that were answered tells of none; figures without end are null in JSON."""
    rows = (*(row(length) for length in (20, 40, 60)), row(80, failed=6), row(100, failed=10))
    cliff, why = cliff_of(rows)
    assert (cliff.below_chars, cliff.above_chars, cliff.above_ms, why) == (60, 80, math.inf, None)
    assert (cliff.outcome, cliff.failed, cliff.n) == ("timed_out", 16, 20)
    assert str(cliff).startswith(
        "from 80 characters on 16 of 20 requests failed (timed_out), up to 60 they are answered (p = "
    )
    told = LengthSweep(rows=rows, cliff=cliff).as_json()
    assert (told["cliff"]["above_ms"], told["cliff"]["expected_ms"]) == (None, None)
    assert told["rows"][-1]["outcome"] == "timed_out"


def test_where_no_cliff_is_the_least_that_would_have_been_seen_is_told():
    """That of the last length apart where it is larger."""
    rows = tuple(row(length) for length in (20, 40, 60, 80, 100))
    assert [jump.above_chars for jump in least_jumps_of(rows)] == [40, 60, 80, 100]

    def told(*times):
        jumps = tuple(LeastJump(above_chars=10 * n, times=each) for n, each in enumerate(times, 1))
        return LengthSweep(rows=rows, least_jumps=jumps).said()[0]

    start = "no cliff: no jump beyond chance and even growth; "
    assert told(1.5, 2, 2) == f"{start}one to 2 times as much would have been seen at any length"
    assert told(1.5, 2, None) == (
        f"{start}one to 2 times as much would have been seen below 30 characters,"
        " not even one to 10 times as much would surely have been seen at 30"
    )


def test_a_limit_says_what_was_answered():
    """And what came of lengths that were neither answered nor refused."""
    fields = {"refused_chars": 4000, "status": 400, "error": "400: too long"}
    assert str(LengthLimit(accepted_chars=None, **fields)) == (
        "never answered, refused from 4000 on: 400: too long"
    )
    assert str(LengthLimit(accepted_chars=600, between="2000 characters: 500", **fields)) == (
        "answered up to 600 characters, refused from 4000 on: 400: too long;"
        " between them requests fail: 2000 characters: 500"
    )


def test_an_input_that_is_cut_has_no_more_tokens():
    """The length from which on they stay the same; growth to the end is none."""
    assert cut_at([(100, 25), (200, 50), (400, 51), (800, 51)]) == 200
    assert cut_at([(100, 25), (200, 50), (400, 100)]) is None
    assert cut_at([(100, None), (200, 50)]) is None
    assert cut_at([(100, 7), (200, 7), (400, 7)]) is None


def test_a_table_says_all_of_it():
    """Tokens that the server does not count are marked as an estimate; figures without end as such."""
    rows = (row(80, tokens=None, failed=1), row(800, tokens=205), row_of(4000, [], error="400: too long"))
    limit = LengthLimit(accepted_chars=1900, refused_chars=1990, status=400, error="400: too long")
    found = LengthSweep(rows=rows, limit=limit, no_cliff="too few", cut_chars=800)
    assert found.table().splitlines() == [
        "chars  tokens   n  failed  TTFT p50   p90  e2e p50   p90   p99",
        "   80     ~20  10       1      10.0  10.0     20.0  20.0     -",
        "  800     205  10       0      10.0  10.0     20.0  20.0  20.0",
        " 4000       -   1       1         -     -        -     -     -",
        "no cliff: too few",
        "limit: answered up to 1900 characters, refused from 1990 on: 400: too long",
        "inputs are cut: of more than 800 characters no more tokens are counted",
        "input tokens not told by the server: estimated at 4 characters each",
    ]
    told = found.as_json()
    assert told["rows"][0]["e2e_ms"]["p99"] is None
    assert told["limit"]["refused_chars"] == 1990
    assert repr(LengthSweep(rows=rows[1:2])) == (
        "LengthSweep(1 lengths; no cliff: no jump beyond chance and even growth)"
    )

"""Every figure of a report, worked out by hand from a few records."""

from __future__ import annotations

import math

import pytest

from pytest_llmserve.domain.metrics import (
    Distribution,
    distribution,
    itl_ms,
    nearest_rank,
    throughput,
    within_all,
)
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult

MS = 1_000_000


def request(number: int, sent: float, tokens: tuple[float, ...], end: float, **changes) -> RequestRecord:
    """An answer; all instants in ms."""
    fields = dict.fromkeys(RequestRecord.__struct_fields__) | {
        "id": number,
        "scheduled_ns": round(sent * MS),
        "sent_ns": round(sent * MS),
        "end_ns": round(end * MS),
        "token_ns": tuple(round(at * MS) for at in tokens),
        "outcome": "ok",
        "output_tokens": len(tokens),
        "tokens_from": "usage",
        "attempt": 1,
        "stage": 0,
        "warm_up": False,
        "from_schedule": False,
    }
    return RequestRecord(**fields | changes)


A = request(0, 100, (140, 150, 170, 200), 205)
"""TTFT 40, gaps 10 20 30, TPOT 60 / 3 = 20, end-to-end 105 ms."""
B = request(1, 200, (260, 300), 310)
"""TTFT 60, gap 40, TPOT 40, end-to-end 110 ms."""
C = request(2, 300, (320,), 330)
"""TTFT 20, no gap, no TPOT, end-to-end 30 ms."""
D = request(3, 400, (), 450, outcome="reset", output_tokens=None, tokens_from=None)


@pytest.fixture
def run() -> LoadResult:
    return LoadResult(LoadPlan(users=2), [A, B, C, D], GeneratorHealth(), steady_ns=(150 * MS, 350 * MS))


def test_the_times_of_a_request():
    assert (A.ttft_ms, A.e2e_ms, A.tpot_ms) == (40.0, 105.0, 20.0)
    assert (B.ttft_ms, B.e2e_ms, B.tpot_ms) == (60.0, 110.0, 40.0)
    assert (C.ttft_ms, C.e2e_ms, C.tpot_ms) == (20.0, 30.0, None)


def test_several_tokens_in_a_chunk_share_its_gap_in_tpot_not_in_itl():
    """7 tokens by usage in 4 chunks: 60 ms over 6 gaps of a token are 10; the chunks' gaps stay."""
    packed = request(0, 100, (140, 150, 170, 200), 205, output_tokens=7)
    assert packed.tpot_ms == 10.0
    assert list(itl_ms([packed]).values_ms) == [10.0, 20.0, 30.0]


def test_a_late_send_is_in_the_latency_of_a_schedule_only():
    """Due at 80 ms, sent at 100."""
    late = request(0, 100, (140,), 205, scheduled_ns=80 * MS, from_schedule=True)
    assert (late.ttft_ms, late.e2e_ms) == (60.0, 125.0)
    assert (late.ttft_sent_ms, late.e2e_sent_ms) == (40.0, 105.0)


def test_gaps_of_all_answers(run):
    """10 20 30 and 40: mean 25, p50 the second, p90 the fourth."""
    assert list(run.itl_ms.values_ms) == [10.0, 20.0, 30.0, 40.0]
    assert (run.itl_ms.mean, run.itl_ms.p50, run.itl_ms.p90) == (25.0, 20.0, 40.0)


def test_a_failed_request_counts_in_quantiles_and_not_in_the_mean(run):
    """30 105 110 and never: p50 the second of four, p90 the fourth; mean 245 / 3."""
    assert (run.e2e_ms.n, run.e2e_ms.p50, run.e2e_ms.p90) == (4, 105.0, math.inf)
    assert run.e2e_ms.mean == pytest.approx(245 / 3)
    assert (run.e2e_ms.min, run.e2e_ms.max) == (30.0, 110.0)
    assert run.e2e_ms.share_within(105) == 2 / 4
    assert run.error_rate == 1 / 4
    # TPOT: 20, 40, and never; the answer of one token has none.
    assert (run.tpot_ms.n, run.tpot_ms.p50) == (3, 40.0)


def test_throughput_of_a_window(run):
    """150 to 350 ms: A, B and C end in it, 3 / 0.2 s; of the tokens 3 of A, 2 of B and 1 of C lie in it."""
    found = run.throughput
    assert (found.window_s, found.tokens_from) == (0.2, "usage")
    assert found.requests_per_s == pytest.approx(15.0)
    assert found.output_tokens_per_s == pytest.approx(30.0)


def test_a_window_holds_its_first_instant_and_not_its_last():
    """[205, 310) ms: A ends at 205, B at 310; of B's tokens 260 and 300 lie within: 1 / and 2 / 0.105 s."""
    found = throughput([A, B], 205 * MS, 310 * MS)
    assert found.requests_per_s == pytest.approx(1 / 0.105)
    assert found.output_tokens_per_s == pytest.approx(2 / 0.105)


def test_tokens_of_a_chunk_count_alike():
    """8 tokens in 4 chunks, 3 of them from 150 ms on: 6 tokens in 0.2 s."""
    packed = request(0, 100, (140, 150, 170, 200), 205, output_tokens=8)
    assert throughput([packed], 150 * MS, 350 * MS).output_tokens_per_s == pytest.approx(30.0)


def test_goodput_counts_those_that_meet_all_limits(run):
    """Of four: TTFT <= 40 meets A and C; with e2e <= 100 only C; with TPOT <= 20 A, and C that has none."""
    assert run.goodput(ttft_ms=40) == 2 / 4
    assert run.goodput(ttft_ms=40, e2e_ms=100) == 1 / 4
    assert run.goodput(tpot_ms=20) == 2 / 4
    assert run.goodput(tpot_ms=19.9) == 1 / 4
    assert not within_all(D, None, None, 1e9)


@pytest.mark.parametrize(
    ("q", "n", "rank"),
    [
        (0.3, 5, 2),  # 1.5
        (0.4, 5, 2),  # 2 to the dot
        (0.5, 5, 3),
        (0.05, 5, 1),
        (1.0, 5, 5),
        (0.95, 20, 19),  # 19 to the dot, and a little more in binary
        (0.99, 100, 99),
        (0.99, 101, 100),  # 99.99
        (0.999, 1000, 999),
        (0.9, 3, 3),
    ],
)
def test_nearest_rank_is_the_ceiling(q, n, rank):
    assert nearest_rank(q, n) == rank


def test_quantiles_of_five_values():
    """15 20 35 40 50: the textbook's 5th, 30th, 40th, 50th and 100th percentile."""
    found = distribution([35.0, 20.0, 15.0, 50.0, 40.0])
    assert [found.quantile(q) for q in (0.05, 0.3, 0.4, 0.5, 1.0)] == [15.0, 20.0, 20.0, 35.0, 50.0]


def test_quantiles_with_failures_behind_them():
    """1 ... 8 and two failed: p80 is the eighth, p81 the ninth, which failed."""
    found = Distribution(tuple(float(i) for i in range(1, 9)), failed=2)
    assert (found.quantile(0.8), found.quantile(0.81)) == (8.0, math.inf)

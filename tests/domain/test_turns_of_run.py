"""A run turn by turn."""

from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.turns import turn_rows


def record(turn, ms, outcome="ok"):
    end_ns = ms * 1_000_000
    return RequestRecord(
        id=turn,
        scheduled_ns=0,
        sent_ns=0,
        first_byte_ns=1,
        end_ns=end_ns,
        token_ns=(end_ns // 2,),
        status=200,
        outcome=outcome,
        error=None,
        input_chars=turn * 100,
        output_chars=1,
        output_tokens=1,
        tokens_from="usage",
        finish_reason="stop",
        turn=turn,
    )


def test_each_turn_has_its_counts_and_figures():
    """A failed one is infinitely slow; what is no conversation is in none."""
    rows = turn_rows([record(2, 30), record(1, 10), record(0, 99), record(1, 20, "reset"), record(1, 30)])
    assert [row["turn"] for row in rows] == [1, 2]
    assert rows[0]["counts"] == {"sent": 3, "ok": 2, "failed": 1}
    assert (rows[0]["input_chars"], rows[1]["input_chars"]) == (100.0, 200.0)
    e2e = rows[0]["metrics"]["e2e_ms"]
    assert (e2e["n"], e2e["p50"], e2e["p99"]) == (3, 30.0, None)
    assert rows[1]["metrics"]["ttft_ms"]["p50"] == 15.0
    assert turn_rows([record(0, 5)]) == []

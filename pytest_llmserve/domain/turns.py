"""A run turn by turn of its conversations: one row of figures each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from pytest_llmserve.domain import metrics
from pytest_llmserve.domain.record import RequestRecord


def turn_rows(requests: Iterable[RequestRecord]) -> list[dict[str, Any]]:
    """One row a turn, the first first: how latency goes with the history; what is no conversation is in none.

    Args:
        requests: the measured ones.

    Returns:
        For each turn "turn", "counts" ("sent", "ok", "failed"), "input_chars" (of all that was sent, the
        mean) and "metrics" (by name of the latency, as `Distribution.summary`).
    """
    by_turn: dict[int, list[RequestRecord]] = defaultdict(list)
    for record in requests:
        if record.turn:
            by_turn[record.turn].append(record)
    return [_row(turn, by_turn[turn]) for turn in sorted(by_turn)]


def _row(turn: int, sent: Sequence[RequestRecord]) -> dict[str, Any]:
    answered = [r for r in sent if r.ok]
    failed = len(sent) - len(answered)
    return {
        "turn": turn,
        "counts": {"sent": len(sent), "ok": len(answered), "failed": failed},
        "input_chars": round(sum(r.input_chars for r in sent) / len(sent), 1),
        "metrics": {
            name: metrics.distribution((getattr(r, name) for r in answered), failed).summary()
            for name in ("ttft_ms", "tpot_ms", "e2e_ms")
        },
    }

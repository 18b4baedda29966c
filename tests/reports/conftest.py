"""Literal runs for the reports to describe."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.samples import MemoryChange, ResourceSample, ResourceWindow
from pytest_llmserve.domain.verdict import Verdict

HERE = str(Path(__file__).parent)
if HERE not in sys.path:  # for sample_document.py
    sys.path.append(HERE)

MS = 1_000_000
MB = 1_000_000


def record(number: int, e2e_ms: float = 100.0, **changes: object) -> RequestRecord:
    """Sent a second after the one before; four tokens, the first after 20 ms."""
    sent = number * 1000 * MS
    fields: dict[str, object] = {
        "id": number,
        "scheduled_ns": sent,
        "sent_ns": sent,
        "first_byte_ns": sent + 10 * MS,
        "end_ns": sent + round(e2e_ms * MS),
        "token_ns": tuple(sent + ms * MS for ms in (20, 30, 40, 50)),
        "status": 200,
        "outcome": "ok",
        "error": None,
        "input_chars": 12,
        "output_chars": 20,
        "output_tokens": 4,
        "tokens_from": "usage",
        "finish_reason": "stop",
    }
    return RequestRecord(**(fields | changes))  # type: ignore[arg-type]


def failed(number: int, outcome: str = "http_5xx", error: str | None = "500: out of slots") -> RequestRecord:
    return record(number, outcome=outcome, error=error, token_ns=(), first_byte_ns=None, output_tokens=None)


def window(missing: str | None = None) -> ResourceWindow:
    samples = [
        ResourceSample(
            at_ns=at * 1000 * MS,
            processes=1,
            rss_bytes=rss * MB,
            uss_bytes=(rss - 10) * MB,
            swap_bytes=0,
            cpu_percent=50.0,
            threads=8,
            open_files=21,
        )
        for at, rss in ((0, 100), (1, 130), (2, 120))
    ]
    return ResourceWindow(samples=tuple(samples), missing=missing)


def load_result(records: list[RequestRecord], **changes: object) -> LoadResult:
    fields: dict[str, object] = {
        "plan": LoadPlan(users=2, requests=len(records), seed=3, salt="ab12cd34"),
        "records": records,
        "generator": GeneratorHealth(
            clock="kernel",
            send_lag_ms={"p50": 0.1, "p99": 0.4, "max": 0.5},
            receive_lag_ms={"p50": 0.1, "p99": 0.2, "max": 0.3},
            cpu_percent=7.0,
        ),
        "steady_ns": (0, 10_000 * MS),
        "resources": window(),
    }
    return LoadResult(**(fields | changes))  # type: ignore[arg-type]


def verdict(
    word: str = "fail", sentence: str = "p99 e2e latency 2431 ms > 2200 ms", **changes: object
) -> Verdict:
    fields: dict[str, object] = {
        "check": "latency",
        "what": "p99 e2e latency",
        "limit": 2200.0,
        "estimate": 2431.0,
        "interval": (2290.0, 2610.0),
        "confidence": 0.95,
        "n": 812,
        "verdict": word,
        "sentence": sentence,
        "holds": word != "fail",
    }
    return Verdict(**(fields | changes))  # type: ignore[arg-type]


class Make:
    """The makers, since test files cannot import a conftest."""

    record = staticmethod(record)
    failed = staticmethod(failed)
    window = staticmethod(window)
    run = staticmethod(load_result)
    verdict = staticmethod(verdict)
    memory = staticmethod(MemoryChange)


@pytest.fixture
def make() -> type[Make]:
    return Make

"""Runs made by hand: every figure in a test is known before it is judged."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.samples import MemoryChange, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_MS, NS_PER_S


def record(number: int, e2e_ms: float | str, **changes) -> RequestRecord:
    """Request `number`, sent every 10 ms; a word in place of a latency is how it failed."""
    failed = isinstance(e2e_ms, str)
    sent_ns = changes.pop("sent_ns", number * 10 * NS_PER_MS)
    end_ns = sent_ns + (5 * NS_PER_MS if failed else round(e2e_ms * NS_PER_MS))
    fields = {
        "id": number,
        "scheduled_ns": sent_ns or 0,
        "sent_ns": sent_ns,
        "first_byte_ns": None if failed else end_ns,
        "end_ns": end_ns,
        "token_ns": () if failed else (end_ns,),
        "status": None if failed else 200,
        "outcome": e2e_ms if failed else "ok",
        "error": e2e_ms if failed else None,
        "input_chars": 10,
        "output_chars": 0 if failed else 4,
        "output_tokens": None if failed else 1,
        "tokens_from": None if failed else "usage",
        "finish_reason": None if failed else "stop",
    }
    return RequestRecord(**fields | changes)


def streamed(number: int, ttft_ms: float, gaps_ms: list[float], **changes) -> RequestRecord:
    """An answer whose chunks carry one token each."""
    stamps = [number * 10 * NS_PER_MS + round(ttft_ms * NS_PER_MS)]
    for gap in gaps_ms:
        stamps.append(stamps[-1] + round(gap * NS_PER_MS))
    e2e_ms = (stamps[-1] - number * 10 * NS_PER_MS) / NS_PER_MS
    fields = {"token_ns": tuple(stamps), "output_tokens": len(stamps)}
    return record(number, e2e_ms, **fields | changes)


def spread_out(values: list) -> list:
    """The same values in an order in which neighbours tell nothing of each other: always the same shuffle."""
    shuffled = list(values)
    random.Random(1).shuffle(shuffled)
    return shuffled


def run(
    records: list[RequestRecord], *, healthy=None, steady_s=None, window_ns=None, plan=None, **watched
) -> LoadResult:
    """A finished run of records; `healthy` = what the generator says of itself."""
    steady_ns = window_ns or (0, round((steady_s or 0) * NS_PER_S))
    return LoadResult(
        plan or LoadPlan(users=4), records, healthy or GeneratorHealth(), steady_ns=steady_ns, **watched
    )


def run_of(latencies: list, **more) -> LoadResult:
    """A run of end-to-end latencies in ms and failures in words, in this order."""
    return run([record(number, e2e_ms) for number, e2e_ms in enumerate(latencies)], **more)


def samples(rss_mb: list[float], *, missing=None, **changes) -> ResourceWindow:
    """One sample a second from second 1 on."""
    return ResourceWindow(
        samples=tuple(
            ResourceSample(at_ns=(second + 1) * NS_PER_S, processes=1, rss_bytes=round(mb * 1e6), **changes)
            for second, mb in enumerate(rss_mb)
        ),
        missing=missing,
    )


def memory(before_mb: list[float], after_mb: list[float], **changes) -> MemoryChange:
    """Readings in MB, settled after 5 s."""
    fields = {
        "measure": "USS + swap",
        "before": tuple(round(mb * 1e6) for mb in before_mb),
        "after": tuple(round(mb * 1e6) for mb in after_mb),
        "settled_after_ns": 5 * NS_PER_S,
    }
    return MemoryChange(**fields | changes)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The makers of this file."""
    return SimpleNamespace(
        record=record,
        streamed=streamed,
        spread_out=spread_out,
        run=run,
        run_of=run_of,
        samples=samples,
        memory=memory,
    )

"""The runs of tests that a page of hundreds has no room for, a row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.markup import Child, Markup, tag
from pytest_llmserve.reports.html.sections.headline import short_name
from pytest_llmserve.reports.html.tables import part, table
from pytest_llmserve.reports.html.words import count, latencies, number, whole

_HEADS = ("test", "load", "sent", "failed", "TTFT p50", "p95", "e2e p50", "p95", "req/s", "tok/s")


def shortened(tests: Sequence[Mapping[str, Any]]) -> Markup | None:
    """What they came to; None where every test has its details."""
    if not tests:
        return None
    those = f"{count(len(tests), 'test')} {'is' if len(tests) == 1 else 'are'}"
    said = (
        f"{those} shortened, those that passed first: with all of every test this file would be too large to "
        "open at once. A JSON report has the rest, and so has the report of a session with fewer tests."
    )
    rows = [_row(test, place) for test in tests for place in range(len(test["runs"]))]
    told = table("Their runs; latencies in ms", _HEADS, rows, words=("load",)) if rows else None
    return part(3, "Shortened", tag("p", said, class_="note"), told)


def _row(test: Mapping[str, Any], place: int) -> list[Child]:
    run = test["runs"][place]
    named = f"{short_name(test['nodeid'])} run {place + 1}" if len(test["runs"]) > 1 else None
    found = run["throughput"]
    return [
        named or short_name(test["nodeid"]),
        run["plan"]["text"],
        *(whole(run["counts"][key]) for key in ("sent", "failed")),
        *latencies(run["metrics"], "p50", "p95"),
        *(number(found[key]) for key in ("requests_per_s", "output_tokens_per_s")),
    ]

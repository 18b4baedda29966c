"""Runs of one test against servers that were started with different values, as rows of one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Test = Mapping[str, Any]

HEADS = ("", "users", "e2e p50", "p90", "p99", "TTFT p95", "tok/s", "req/s", "n", "failed", "RSS MB")
_FIGURES = ("users", "e2e_p50_ms", "e2e_p90_ms", "e2e_p99_ms", "ttft_p95_ms", "output_tokens_per_s")
_COLUMNS = (*_FIGURES, "requests_per_s", "n", "failed", "rss_mb_peak")


def comparisons(tests: Sequence[Test]) -> list[dict[str, Any]]:
    """The tests that were to run with two sets of values or more, and did run a load, with a row a run.

    Of a case that was run again the last attempt counts. A case without a run has one row without figures.
    Figures only: the servers ran one after the other, so a small difference may be that of the hour.
    """
    cases: dict[str, dict[str, Test]] = {}
    for test in tests:
        if "variant" in test:
            cases.setdefault(test["variant"]["of"], {})[test["nodeid"]] = test
    return [
        {"test": of, "rows": [row for test in found.values() for row in _rows(test)]}
        for of, found in cases.items()
        if len({str(test["variant"]["values"]) for test in found.values()}) > 1
        and any(test["runs"] for test in found.values())
    ]


def _rows(test: Test) -> list[dict[str, Any]]:
    case = {"values": test["variant"]["values"], "outcome": test["outcome"]}
    runs = test["runs"]
    if not runs:
        return [case | {"run": None} | dict.fromkeys(_COLUMNS)]
    return [case | {"run": number} | _figures(run) for number, run in enumerate(runs, 1)]


def _figures(run: Mapping[str, Any]) -> dict[str, Any]:
    e2e, ttft, throughput = run["metrics"]["e2e_ms"], run["metrics"]["ttft_ms"], run["throughput"]
    return {
        "users": run["plan"]["users"],
        **{f"e2e_{q}_ms": e2e.get(q) for q in ("p50", "p90", "p99")},
        "ttft_p95_ms": ttft.get("p95"),
        **{name: throughput[name] for name in ("output_tokens_per_s", "requests_per_s")},
        "n": run["counts"]["sent"],
        "failed": run["counts"]["failed"],
        "rss_mb_peak": run["resources"].get("rss_mb_peak"),
    }


def cells(rows: Sequence[Mapping[str, Any]], figure: Callable[[float | None, str], str]) -> list[list[str]]:
    """The rows as texts under `HEADS`; `figure` writes a number of a column."""
    several = any((row["run"] or 0) > 1 for row in rows)
    return [
        [_label(row, several), *(figure(row[name], "n" if name == "users" else name) for name in _COLUMNS)]
        for row in rows
    ]


def _label(row: Mapping[str, Any], several: bool) -> str:
    said = ", ".join(f"{name}={_shown(value)}" for name, value in row["values"].items()) or "defaults"
    run = f" run {row['run']}" if several and row["run"] else ""
    return f"{said}{run}" + ("" if row["outcome"] == "passed" else f" ({row['outcome']})")


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)

"""A run: its plan, its figures, and the same by stage, task, replica and turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.domain.plan import DECIDED
from pytest_llmserve.domain.result import early_end
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.reports.figures import summary_text
from pytest_llmserve.reports.html.figures import figures
from pytest_llmserve.reports.html.markup import Child, Markup, join, tag
from pytest_llmserve.reports.html.plot import Plot
from pytest_llmserve.reports.html.sections.errors import errors
from pytest_llmserve.reports.html.sections.generator import generator
from pytest_llmserve.reports.html.sections.metrics import metrics
from pytest_llmserve.reports.html.sections.mix import mix
from pytest_llmserve.reports.html.sections.shifts import shifts
from pytest_llmserve.reports.html.sections.slowest import slowest
from pytest_llmserve.reports.html.tables import facts, folded, part, table
from pytest_llmserve.reports.html.words import count, latencies, number, percent, whole
from pytest_llmserve.reports.merged import merged_text

Run = Mapping[str, Any]

_LATENCIES = ("TTFT p50", "p95", "e2e p50", "p95")
_MISSING = ("memory_missing", "gpu_memory_missing")
"""Why it is not known what memory the run left behind."""
_MOST_TURNS = 50


def run_section(run: Run, title: str, plots: Sequence[Plot] = ()) -> Markup | None:
    """All of a run, under a heading of level 4."""
    return part(
        4,
        title,
        _first(run),
        tag("p", _server(run["resources"]), class_="note"),
        _remarks(run),
        metrics(run["metrics"], merged=merged_text(run["generator"])),
        figures(plots),
        _stages(run["stages"]),
        _tasks(run.get("tasks") or ()),
        _replicas(run),
        _turns(run.get("turns") or ()),
        shifts(run.get("comparison")),
        mix(run.get("mix")),
        errors(run),
        slowest(run.get("slowest") or ()),
        generator(run["generator"]),
        _plan(run["plan"]),
        class_="run",
    )


def _first(run: Run) -> Markup | None:
    counts, found = run["counts"], run["throughput"]
    failed = f"{whole(counts['failed'])}" + (
        f" ({percent(counts['failed'] / counts['sent'])})" if counts["failed"] and counts["sent"] else ""
    )
    return facts(
        ("Load", run["plan"]["text"]),
        ("Sent", whole(counts["sent"])),
        ("Failed", failed),
        ("Never sent", whole(counts["dropped"]) if counts["dropped"] else None),
        ("Warm-up requests", whole(counts.get("warm_up")) if counts.get("warm_up") else None),
        ("Lasted", f"{number(run['duration_s'])} s"),
        ("Requests per second", number(found["requests_per_s"])),
        ("Tokens per second", _tokens(found)),
        ("Steady window", f"{number(found['window_s'])} s" if found.get("window_s") else None),
    )


def _server(resources: Mapping[str, Any]) -> str:
    said = summary_text(resources)
    return f"{said[0].upper()}{said[1:]}"


def _tokens(found: Mapping[str, Any]) -> str:
    if found["output_tokens_per_s"] is None:
        return "not known"
    estimated = " (estimated from chunks)" if found["tokens_from"] == "estimated" else ""
    return number(found["output_tokens_per_s"]) + estimated


def _remarks(run: Run) -> list[Markup]:
    """What the figures have to be read with."""
    health = run["generator"]
    told = []
    ended = early_end(health["ended"], run["counts"]["sent"], run["duration_s"])
    if ended is not None:
        told.append((f"Ended early: {ended}", "note" if health["ended"] == DECIDED else "note warning"))
    if health.get("saturated"):
        told.append(
            (f"The load generator may have been the bottleneck: {health['saturated']}", "note warning")
        )
    notes = [run.get("served_by_missing"), *(run["resources"].get(key) for key in _MISSING)]
    notes.append((run.get("profile") or {}).get("text"))
    told += [(str(note), "note") for note in notes if note]
    return [tag("p", said, class_=kind) for said, kind in told]


def _stages(stages: Sequence[Mapping[str, Any]]) -> Markup | None:
    if len(stages) < 2:
        return None
    dropped = any(stage["dropped"] for stage in stages)
    heads = ("stage", "from, s", "to, s", "n", "failed", *(["dropped"] if dropped else []), "req/s", "tok/s")
    rows = [
        [
            stage["label"],
            *(number(stage[key]) for key in ("start_s", "end_s")),
            *(whole(stage[key]) for key in ("n", "failed", *(["dropped"] if dropped else []))),
            *(number(stage[key]) for key in ("requests_per_s", "output_tokens_per_s")),
            *latencies(stage, "p50", "p95", "p99"),
        ]
        for stage in stages
    ]
    quantiles = ("TTFT p50", "p95", "p99", "e2e p50", "p95", "p99")
    return part(5, "Stages", table("By stage; latencies in ms", (*heads, *quantiles), rows))


def _tasks(tasks: Sequence[Mapping[str, Any]]) -> Markup | None:
    rows = [
        [
            task["task"],
            *(whole(task[key]) for key in ("n", "failed")),
            *latencies(task, "p50", "p95", n=task["n"]),
        ]
        for task in tasks
    ]
    heads = ("task", "n", "failed", *_LATENCIES)
    return part(5, "Tasks", table("By task; latencies in ms", heads, rows)) if rows else None


def _replicas(run: Run) -> Markup | None:
    rows = [
        [
            row["name"],
            percent(row["share"]),
            *(whole(row["counts"][key]) for key in ("sent", "failed")),
            *latencies(row["metrics"], "p50", "p95"),
        ]
        for row in run.get("served_by") or ()
    ]
    heads = ("served by", "share", "n", "failed", *_LATENCIES)
    return part(5, "Replicas", table("By who served; latencies in ms", heads, rows)) if rows else None


def _turns(turns: Sequence[Mapping[str, Any]]) -> Markup | None:
    if not turns:
        return None
    rows: list[list[Child]] = [
        [
            str(turn["turn"]),
            *(whole(turn["counts"][key]) for key in ("sent", "failed")),
            whole(turn["input_chars"]),
            *latencies(turn["metrics"], "p50", "p95"),
        ]
        for turn in turns[:_MOST_TURNS]
    ]
    left = len(turns) - _MOST_TURNS
    more = tag("p", f"And {count(left, 'further turn')}: the JSON report has all.") if left > 0 else None
    heads = ("turn", "n", "failed", "characters sent", *_LATENCIES)
    return part(5, "Turns", table("By turn of the conversation; latencies in ms", heads, rows), more)


def _plan(plan: Mapping[str, Any]) -> Markup | None:
    """What a run is repeated with."""
    params = ", ".join(f"{name}={value}" for name, value in (plan.get("params") or {}).items())
    scale = plan.get("scale", 1.0)
    told = facts(
        ("Seed", str(plan["seed"])),
        ("Fields of the request", params),
        ("Streamed", "yes" if plan.get("stream") else "no"),
        ("Timeout", f"{plan['timeout_ns'] / NS_PER_S:g} s" if plan.get("timeout_ns") else None),
        ("Retries", str(plan.get("retries") or 0)),
        ("Workers", str(plan.get("workers"))),
        ("Prompts from", plan.get("prompts_from")),
        ("Prompts", whole(plan["prompt_count"]) if plan.get("prompt_count") else None),
        ("Scaled by --llm-scale", None if scale == 1.0 else number(scale)),
    )
    return folded("Plan", join(told))

"""The JSON document, schema "pytest-llmserve/1"; described in docs/report.md."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_llmserve.checks.params import as_json
from pytest_llmserve.domain.mix import TaskMix
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import NOT_KEPT
from pytest_llmserve.domain.result import LoadResult, record_row
from pytest_llmserve.domain.samples import MemoryChange, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.domain.verdict import Verdict
from pytest_llmserve.reports.charts import run_charts
from pytest_llmserve.reports.charts.axis import Axis
from pytest_llmserve.reports.charts.errors import errors
from pytest_llmserve.reports.charts.slowest import slowest
from pytest_llmserve.reports.figures import COUNTERS, LOWEST, devices, peaks, series
from pytest_llmserve.reports.isolation import mix_document
from pytest_llmserve.reports.private import CHARTS
from pytest_llmserve.reports.replicas import replica_documents

if TYPE_CHECKING:
    from pytest_llmserve.checks.comparison import Comparison
    from pytest_llmserve.stats.shift import Shift

SCHEMA = "pytest-llmserve/1"


def run_document(
    run: LoadResult,
    keep_text: bool,
    comparison: Comparison | None = None,
    mix: TaskMix | None = None,
    *,
    zero_ns: int | None = None,
    charts: bool = False,
) -> dict[str, Any]:
    """One run. Prompts are never in it; answers only with `keep_text`, in "requests".

    Args:
        run: as it was measured.
        keep_text: as said.
        comparison: that it is one side of.
        mix: of tasks, that it is the load of.
        zero_ns: monotonic clock, when its test began; None = the times of single requests count from the
            run's beginning.
        charts: with what its plots are drawn from.
    """
    axis = Axis.of(run, run.start_ns if zero_ns is None else zero_ns)
    document: dict[str, Any] = {
        "plan": plan_document(run.plan, keep_text),
        "counts": run.counts,
        "duration_s": round(run.duration_s, 6),
        "metrics": {name: getattr(run, name).summary() for name in _figures(run.plan)},
        "throughput": {
            "requests_per_s": _finite(run.throughput.requests_per_s),
            "output_tokens_per_s": _finite(run.throughput.output_tokens_per_s),
            "window_s": round(run.throughput.window_s, 6),
            "tokens_from": run.throughput.tokens_from,
        },
        "stages": [{name: _finite(value) for name, value in stage.items()} for stage in run.stages],
        "slowest": slowest(run, axis.zero_ns),
        "errors": errors(run, axis.zero_ns),
        "generator": generator_document(run),
        "resources": resources_document(run.resources, run.memory),
    }
    if run.tasks:
        document["tasks"] = [task_document(run, name) for name in run.tasks]
    if turns := run.turns:
        document["turns"] = turns
    if served_by := replica_documents(run, _figures(run.plan)):
        document["served_by"] = served_by
    if run.profile is not None:
        document["profile"] = msgspec.to_builtins(run.profile) | {"text": str(run.profile)}
    if comparison is not None:
        document["comparison"] = comparison_document(comparison, charts)
    if mix is not None:
        document["mix"] = mix_document(mix)
    if keep_text:
        rows = ((record_row(r), None if r.text_at == NOT_KEPT else r.text) for r in run.requests)
        document["requests"] = [row | {"text": text} for row, text in rows]
    if charts:
        document[CHARTS] = run_charts(run, axis.zero_ns)
    return document


def generator_document(run: LoadResult) -> dict[str, Any]:
    """Health of the load generator; instants as seconds from the start of the run."""
    document: dict[str, Any] = msgspec.to_builtins(run.generator)
    gone_ns, stalls_ns = document.pop("server_gone_ns"), document.pop("stalls_ns")

    def seconds(at_ns: int) -> float:
        return round((at_ns - run.start_ns) / NS_PER_S, 3)

    stalls = [{"at_s": seconds(begin_ns), "until_s": seconds(end_ns)} for begin_ns, end_ns in stalls_ns]
    return document | {"server_gone_s": None if gone_ns is None else seconds(gone_ns), "stalls": stalls}


def task_document(run: LoadResult, name: str) -> dict[str, Any]:
    """What became of the requests of one task."""
    own = run.by_task(name)
    return {
        "task": name,
        "n": len(own.tried),
        "failed": len(own.failed),
        **{
            figure: {q: _finite(getattr(getattr(own, figure), q)) for q in ("p50", "p95")}
            for figure in ("ttft_ms", "e2e_ms")
        },
    }


def comparison_document(comparison: Comparison, charts: bool = False) -> dict[str, Any]:
    """What a run was compared with: the reference as a run, and how far apart the two are."""
    a, b = ({"name": n, **s} for n, s in zip(comparison.names, comparison.servers, strict=True))
    return {
        "a": a,
        "b": b | run_document(comparison.b, keep_text=False, charts=charts),
        "rounds": comparison.rounds,
        "planned": comparison.planned,
        "ended": comparison.ended,
        "shifts": {metric: shift_document(shift) for metric, shift in comparison.shifts.items()},
    }


def shift_document(shift: Shift) -> dict[str, Any]:
    """How much slower `a` is than `b`; what is not known or has no end is null."""
    figures = {"a": shift.after, "b": shift.before, "ratio": shift.ratio}
    open_low = -math.inf if shift.low <= -1 else shift.low
    return {
        **{name: _finite(value) for name, value in figures.items()},
        "interval": [_finite(open_low), _finite(shift.high)],
        "confidence": shift.confidence,
        "n": [shift.n_after, shift.n_before],
    }


def _figures(plan: LoadPlan) -> tuple[str, ...]:
    """The latencies; in open loop those from the send beside those from the schedule."""
    sent = ("ttft_sent_ms", "e2e_sent_ms") if plan.is_open else ()
    return ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms", *sent)


def plan_document(plan: LoadPlan, keep_text: bool = False) -> dict[str, Any]:
    """The plan as it was asked for, with a line for people; texts of its params hashed unless kept."""
    fields: dict[str, Any] = msgspec.to_builtins(plan)
    return fields | {"params": as_json(fields["params"], keep_text), "text": plan.describe()}


def resources_document(window: ResourceWindow, memory: MemoryChange | None) -> dict[str, Any]:
    """The server's figures, median and peak, and the memory a run left behind."""
    document: dict[str, Any] = window.summary()
    found = peaks(window)
    if memory is not None:
        retained = memory.retained_bytes
        document["retained_mb"] = None if retained is None else round(retained / 1e6, 3)
        document["memory_measure"] = memory.measure
        document["memory_missing"] = memory.missing
        if memory.gpu is not None:
            kept = memory.gpu.retained_bytes
            document["gpu_retained_mb"] = None if kept is None else round(kept / 1e6, 3)
            document["gpu_memory_missing"] = memory.gpu.missing
        document |= {f"{count.figure}_kept": count.kept for count in memory.counts}
    if window.gpu is not None:
        document["gpu_measure"] = window.gpu
    for counter in sorted(COUNTERS & found.keys()):
        document[counter + "_rise"] = found[counter]
    if LOWEST in found:
        document[LOWEST + "_lowest"] = found[LOWEST]
    gpus = devices(window)
    return document | ({"gpus": gpus} if gpus else {})


def watched_document(window: ResourceWindow, started_ns: int | None) -> dict[str, Any]:
    """The server's figures through a whole test, with their course; `started_ns` as of `series`."""
    course = series(window, started_ns)
    known = resources_document(window, None) | {"cores": window.cores}
    return known | ({"series": course} if course else {})


def verdict_documents(verdicts: list[Verdict]) -> list[dict[str, object]]:
    """The verdicts of one test."""
    return [verdict.as_json() for verdict in verdicts]


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value

"""The JSON document, schema "pytest-llmserve/1"; described in docs/report.md."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.result import LoadResult, record_row
from pytest_llmserve.domain.samples import MemoryChange, ResourceWindow
from pytest_llmserve.domain.verdict import Verdict

SCHEMA = "pytest-llmserve/1"


def run_document(run: LoadResult, keep_text: bool) -> dict[str, Any]:
    """One run. Prompts are never in it; answers only with `keep_text`, in "requests"."""
    document: dict[str, Any] = {
        "plan": plan_document(run.plan),
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
        "generator": msgspec.to_builtins(run.generator),
        "resources": resources_document(run.resources, run.memory),
    }
    if keep_text:
        document["requests"] = [record_row(r) | {"text": r.text} for r in run.requests]
    return document


def _figures(plan: LoadPlan) -> tuple[str, ...]:
    """The latencies; in open loop those from the send beside those from the schedule."""
    sent = ("ttft_sent_ms", "e2e_sent_ms") if plan.is_open else ()
    return ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms", *sent)


def plan_document(plan: LoadPlan) -> dict[str, Any]:
    """The plan as it was asked for, with a line for people."""
    fields: dict[str, Any] = msgspec.to_builtins(plan)
    return fields | {"text": plan.describe()}


def resources_document(window: ResourceWindow, memory: MemoryChange | None) -> dict[str, Any]:
    """The server's figures, median and peak, and the memory a run left behind."""
    document: dict[str, Any] = window.summary()
    if memory is not None:
        retained = memory.retained_bytes
        document["retained_mb"] = None if retained is None else round(retained / 1e6, 3)
        document["memory_measure"] = memory.measure
        document["memory_missing"] = memory.missing
        if memory.gpu is not None:
            kept = memory.gpu.retained_bytes
            document["gpu_retained_mb"] = None if kept is None else round(kept / 1e6, 3)
            document["gpu_memory_missing"] = memory.gpu.missing
    if window.gpu is not None or window.gpu_missing is not None:
        document["gpu_measure"] = window.gpu
        document["gpu_missing"] = window.gpu_missing
    return document


def verdict_documents(verdicts: list[Verdict]) -> list[dict[str, object]]:
    """The verdicts of one test."""
    return [verdict.as_json() for verdict in verdicts]


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value

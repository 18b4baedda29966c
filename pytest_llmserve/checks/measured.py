"""A run as a measurement: its series and what they depend on, without a word of prompts or answers."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import msgspec

from pytest_llmserve.checks.generator import bottleneck
from pytest_llmserve.checks.params import without_texts
from pytest_llmserve.checks.series import in_order
from pytest_llmserve.checks.throughput import slice_rates
from pytest_llmserve.domain.measurement import SERIES, Measurement
from pytest_llmserve.domain.metrics import DEFINITIONS
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult

_KINDS = {"requests_per_s": "min_rps", "output_tokens_per_s": "min_tokens_per_s"}


def measurement_of(
    run: LoadResult,
    *,
    name: str = "",
    environment: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
    taken_at: str = "",
) -> Measurement:
    """What a later run can be compared with.

    Args:
        run: of any load.
        name: what messages call it.
        environment: of the machine that measured, see `Measurement`.
        server: its "url", "api" and "model".
        taken_at: ISO 8601 time, UTC.
    """
    records = in_order(run.tried)
    throughput = {rate: float(getattr(run.throughput, rate)) for rate in _KINDS}
    return Measurement(
        name=name,
        plan=_plan(run.plan),
        prompts=run.prompts,
        environment=dict(environment or {}),
        definitions=dict(DEFINITIONS),
        server=dict(server or {}),
        series={figure: _series(records, figure) for figure in SERIES},
        rates={rate: _rates(run, rate, throughput[rate]) for rate in _KINDS},
        throughput=throughput,
        counts={"sent": len(records), "failed": sum(not r.ok for r in records), "dropped": len(run.dropped)},
        spoiled=bottleneck(run.generator),
        gone=run.generator.server_gone,
        ended=run.generator.ended,
        taken_at=taken_at,
    )


def _plan(plan: LoadPlan) -> dict[str, Any]:
    """All its fields, but no text that a request carries and no folder of this machine."""
    fields: dict[str, Any] = msgspec.to_builtins(plan)
    trace = fields["trace"]
    return {
        **fields,
        "params": without_texts(fields["params"]),
        "trace": None if trace is None else PurePath(trace).name,
    }


def _series(records: Sequence[RequestRecord], figure: str) -> array[float]:
    """Infinite where the request failed, NaN where the figure is not defined for it."""
    return array("d", (_value(getattr(r, figure)) if r.ok else math.inf for r in records))


def _value(value_ms: float | None) -> float:
    return math.nan if value_ms is None else value_ms


def _rates(run: LoadResult, rate: str, overall: float) -> list[float]:
    return [] if math.isnan(overall) else slice_rates(run, _KINDS[rate], [run.steady_ns[1]])[0]

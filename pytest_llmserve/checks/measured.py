"""A run as a measurement: its series and what they depend on, without a word of prompts or answers."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import PurePath
from typing import Any
from weakref import WeakKeyDictionary

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
    figures = _figures(run)
    return Measurement(
        name=name,
        plan=_plan(run.plan),
        prompts=run.prompts,
        environment=dict(environment or {}),
        definitions=dict(DEFINITIONS),
        server=dict(server or {}),
        series=dict(figures.series),
        rates=dict(figures.rates),
        throughput=dict(figures.throughput),
        counts=dict(figures.counts),
        served_by=[name for name in run.replicas if name is not None],
        spoiled=bottleneck(run.generator),
        gone=run.generator.server_gone,
        ended=run.generator.ended,
        taken_at=taken_at,
    )


@dataclass(frozen=True)
class _Figures:
    """What takes long to gather, of one run; as in `Measurement`."""

    series: dict[str, array[float]]
    rates: dict[str, list[float]]
    throughput: dict[str, float]
    counts: dict[str, int]


_GATHERED: WeakKeyDictionary[LoadResult, _Figures] = WeakKeyDictionary()


def _figures(run: LoadResult) -> _Figures:
    """Gathered once a run: it is judged, compared and kept, and 200,000 requests take seconds."""
    known = _GATHERED.get(run)
    if known is not None:
        return known
    records = in_order(run.tried)
    throughput = {rate: float(getattr(run.throughput, rate)) for rate in _KINDS}
    series = {figure: _series(records, figure) for figure in SERIES}
    if any(run.replicas):
        series["served_by"] = _places(records, run.replicas)
    found = _Figures(
        series=series,
        rates={rate: _rates(run, rate, throughput[rate]) for rate in _KINDS},
        throughput=throughput,
        counts={"sent": len(records), "failed": len(run.failed), "dropped": len(run.dropped)},
    )
    _GATHERED[run] = found
    return found


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
    value = attrgetter(figure)
    each = (value(r) if r.ok else math.inf for r in records)
    return array("d", (math.nan if one is None else one for one in each))


def _places(records: Sequence[RequestRecord], names: Sequence[str | None]) -> array[float]:
    """Who served each, as a place among the names; NaN where it is not known."""
    places = {name: float(place) for place, name in enumerate(names)} | {None: math.nan}
    return array("d", (places[record.served_by] for record in records))


def _rates(run: LoadResult, rate: str, overall: float) -> list[float]:
    return [] if math.isnan(overall) else slice_rates(run, _KINDS[rate], [run.steady_ns[1]])[0]

"""A run as benchmarks: which values, and what is told beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_llmserve.domain.metrics import QUANTILES, Distribution
from pytest_llmserve.domain.result import LoadResult

if TYPE_CHECKING:
    from pytest_llmserve.plugin.testrun import TestRun

MOST_VALUES = 10_000
"""Of one benchmark: `--benchmark-json` writes each on a line of its own."""
MS_PER_S = 1000.0
_SHORT = ("ttft", "itl", "tpot", "e2e")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One latency of one run, with all that pytest-benchmark asks of a benchmark.

    Attributes:
        of: the test, for telling its attempts apart.
        values_s: seconds, smallest first, `MOST_VALUES` at most.
        whole: figures of all values, where `values_s` has not all of them.
    """

    of: str
    name: str
    fullname: str
    group: str
    values_s: list[float]
    whole: Mapping[str, float] = field(default_factory=dict)
    param: str | None = None
    params: dict[str, Any] | None = None
    extra_info: dict[str, Any] = field(default_factory=dict)
    cprofile_stats: None = None
    has_error: bool = False


def benchmarks_of(test: TestRun, number: int, run: LoadResult) -> Iterator[Benchmark]:
    """One for each latency that has values.

    Args:
        test: whose run it is.
        number: of the run, from 1.
        run: what it found.
    """
    item, nth = test.item, "" if number == 1 else f"run{number}::"
    told = _told(test, run)
    param, params = _parameters(getattr(item, "callspec", None))
    for short in _SHORT:
        found: Distribution = getattr(run, f"{short}_ms")
        if not found.values_ms:
            continue
        yield Benchmark(
            of=f"{item.nodeid}::",
            name=f"{item.name}::{nth}{short}",
            fullname=f"{item.nodeid}::{nth}{short}",
            group=f"llmserve:{short}",
            values_s=even(found),
            whole=whole(found),
            param=param,
            params=params,
            extra_info=_figures(found) | told,
        )


def even(found: Distribution, most: int = MOST_VALUES) -> list[float]:
    """Values in seconds, smallest first; of more than `most` the middle of each of `most` equal parts."""
    n = len(found.values_ms)
    kept = min(n, most)
    return [found.values_ms[(2 * place + 1) * n // (2 * kept)] / MS_PER_S for place in range(kept)]


def whole(found: Distribution, most: int = MOST_VALUES) -> dict[str, float]:
    """What a choice of values would tell wrong, of all of them, in seconds; {} where all are kept."""
    n, mean_ms = len(found.values_ms), found.mean
    if n <= most:
        return {}
    squares = math.fsum((value - mean_ms) ** 2 for value in found.values_ms)
    figures_ms = {"min": found.min, "max": found.max, "mean": mean_ms, "stddev": math.sqrt(squares / (n - 1))}
    return {name: figure / MS_PER_S for name, figure in figures_ms.items()}


def _figures(found: Distribution) -> dict[str, Any]:
    kept = min(len(found.values_ms), MOST_VALUES)
    quantiles = {f"{name}_ms": _finite(found.quantile(q)) for name, q in QUANTILES.items()}
    return {"n": found.n, "failed": found.failed, "kept": kept, **quantiles}


def _told(test: TestRun, run: LoadResult) -> dict[str, Any]:
    """The same beside each latency of a run. Nothing of a prompt, an answer or a key."""
    opened = test.state.opened
    server = {} if opened is None else opened.document
    return {
        "requests": run.counts,
        "requests_per_s": _finite(run.throughput.requests_per_s),
        "output_tokens_per_s": _finite(run.throughput.output_tokens_per_s),
        "tokens_from": run.throughput.tokens_from,
        "plan": test.redacted(run.plan.describe()),
        "server": {name: test.redacted(server.get(name) or "") or None for name in ("url", "api", "model")},
    }


def _finite(figure: float) -> float | None:
    return round(figure, 4) if math.isfinite(figure) else None


def _parameters(callspec: Any) -> tuple[str | None, dict[str, Any] | None]:
    """Of a parametrized test; a text that does not stand in its id may be a prompt, and is not told."""
    if callspec is None:
        return None, None
    known = {
        name: each
        if each is None
        or isinstance(each, bool | int | float)
        or (isinstance(each, str) and each in callspec.id)
        else f"a {type(each).__name__}"
        for name, each in callspec.params.items()
    }
    return callspec.id, known

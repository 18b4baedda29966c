"""A run stage by stage: one row of figures each, the warm-up apart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from pytest_llmserve.domain import metrics
from pytest_llmserve.domain.outcome import DROPPED
from pytest_llmserve.domain.plan import LoadPlan, Stage
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.units import NS_PER_S

Window = tuple[int, int]


def stage_rows(
    plan: LoadPlan,
    warm_up: Sequence[RequestRecord],
    requests: Sequence[RequestRecord],
    steady_ns: Window,
    start_ns: int,
) -> list[dict[str, Any]]:
    """One row a stage, in order; a run without stages has one.

    A request belongs to the stage in which it was due. Requests and tokens per second are
    those that came in the stage's time, whichever stage they were due in, the warm-up too.

    Args:
        plan: of the run.
        warm_up: its requests; a row of their own when there was a warm-up.
        requests: the measured ones.
        steady_ns: the run's steady window, monotonic clock.
        start_ns: the run's first instant, on the same clock.
    """
    rows, everything = [], [*warm_up, *requests]
    if plan.warm_up_ns:
        begun = (start_ns, start_ns + plan.warm_up_ns)
        level = plan.steps[0] if plan.steps else None
        rows.append(
            _row("warm-up", plan, level and Stage(level.begin, level.begin, 0), warm_up, everything, begun)
        )
    if not plan.steps:
        rows.append(_row(level_text(plan, None), plan, None, requests, everything, steady_ns))
    for number, (stage, window) in enumerate(stage_windows(plan, steady_ns)):
        due = [r for r in requests if r.stage == number]
        rows.append(_row(level_text(plan, stage), plan, stage, due, everything, window))
    for row in rows:
        for name in ("start_s", "end_s"):
            row[name] = round((row[name] - start_ns) / NS_PER_S, 6)
    return rows


def level_at(plan: LoadPlan, elapsed_ns: int) -> str:
    """What the load is at an instant, in words: "20 users", "8 users (2/3)" in the second stage of three."""
    if not plan.steps:
        return plan.load_text
    if elapsed_ns < plan.warm_up_ns:
        first = plan.steps[0]
        return f"{level_text(plan, Stage(first.begin, first.begin, 0))} (warm-up)"
    lengths = (stage.duration_ns for stage in plan.steps[:-1])
    starts = list(accumulate(lengths, initial=plan.warm_up_ns))
    number = bisect_right(starts, elapsed_ns)
    return f"{level_text(plan, plan.steps[number - 1])} ({number}/{len(starts)})"


def stage_windows(plan: LoadPlan, steady_ns: Window) -> Iterator[tuple[Stage, Window]]:
    """Each stage with its part of the steady window; nothing is left of it where the run was cut short."""
    edges = list(accumulate((stage.duration_ns for stage in plan.steps), initial=steady_ns[0]))
    for stage, begin_ns, end_ns in zip(plan.steps, edges, edges[1:], strict=False):
        yield stage, (min(begin_ns, steady_ns[1]), min(end_ns, steady_ns[1]))


def level_text(plan: LoadPlan, stage: Stage | None) -> str:
    """A stage in words: "8 users", "2 to 20 requests/s"; without one, the load."""
    if stage is not None:
        unit = "requests/s" if plan.rate_stages else "user" if stage.level == "1" else "users"
        return f"{stage.level} {unit}"
    return plan.load_text


def _row(
    label: str,
    plan: LoadPlan,
    stage: Stage | None,
    due: Sequence[RequestRecord],
    running: Sequence[RequestRecord],
    window_ns: Window,
) -> dict[str, Any]:
    """Figures of the requests `due` in a stage, and of all that were `running` in its window."""
    tried = [r for r in due if r.outcome != DROPPED]
    answered = [r for r in tried if r.ok]
    failed = len(tried) - len(answered)
    flow = metrics.throughput(running, *window_ns)
    return {
        "label": label,
        "users": None if plan.is_open else plan.users if stage is None else _number(stage),
        "rate": None if not plan.is_open else plan.rate if stage is None else _number(stage),
        "start_s": window_ns[0],
        "end_s": window_ns[1],
        "n": len(tried),
        "failed": failed,
        "dropped": len(due) - len(tried),
        "error_rate": failed / len(tried) if tried else None,
        "ttft_ms": metrics.distribution((r.ttft_ms for r in answered), failed).summary(),
        "e2e_ms": metrics.distribution((r.e2e_ms for r in answered), failed).summary(),
        "requests_per_s": flow.requests_per_s,
        "output_tokens_per_s": flow.output_tokens_per_s,
    }


def _number(stage: Stage) -> float | list[float]:
    """A level, or where it begins and ends; whole numbers as such."""
    begin, end = (int(at) if at == int(at) else at for at in (stage.begin, stage.end))
    return begin if begin == end else [begin, end]

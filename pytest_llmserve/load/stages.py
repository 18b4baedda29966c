"""Who plays in which stage, as times from the start of a run. No clock, no socket.

0 ......... warm_up | stage 0 | stage 1 | ...
the warm-up runs at the level with which stage 0 begins
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from pytest_llmserve.domain.plan import LoadPlan, Stage

Span = tuple[int, int]
"""[from, to) in ns."""


def stage_starts(plan: LoadPlan) -> list[int]:
    """When each stage begins, and last where the last one ends."""
    return list(accumulate((stage.duration_ns for stage in plan.steps), initial=plan.warm_up_ns))


def stage_at(starts: Sequence[int], elapsed_ns: int) -> int:
    """The number of the stage at an instant; the first one's during the warm-up, the last one's after."""
    return min(max(0, bisect_right(starts, elapsed_ns) - 1), max(0, len(starts) - 2))


def spans_of(plan: LoadPlan, user: int) -> list[Span]:
    """When a user plays: while the level is over its number, so that user 0 comes first and goes last."""
    starts = stage_starts(plan)
    spans: list[Span] = []
    if plan.warm_up_ns and plan.stages[0].begin > user:
        spans.append((0, plan.warm_up_ns))
    for begin_ns, stage in zip(starts, plan.stages, strict=False):
        part = _part_over(stage, user)
        if part is not None:
            _append(spans, (begin_ns + part[0], begin_ns + part[1]))
    return spans


def next_within(spans: Sequence[Span], at_ns: int) -> int | None:
    """The first instant from `at_ns` on that lies within a span, or None."""
    for begin_ns, end_ns in spans:
        if at_ns < end_ns:
            return max(at_ns, begin_ns)
    return None


def _part_over(stage: Stage, user: int) -> Span | None:
    """The part of a stage in which its level is over a number."""
    low, high = sorted((stage.begin, stage.end))
    if high <= user:
        return None
    if low >= user and (low > user or low < high):
        return 0, stage.duration_ns
    outside_ns = round(stage.duration_ns * (user - low) / (high - low))
    if stage.begin < stage.end:
        return outside_ns, stage.duration_ns
    return 0, stage.duration_ns - outside_ns


def _append(spans: list[Span], span: Span) -> None:
    if span[0] == span[1]:
        return
    if spans and spans[-1][1] == span[0]:
        spans[-1] = (spans[-1][0], span[1])
    else:
        spans.append(span)

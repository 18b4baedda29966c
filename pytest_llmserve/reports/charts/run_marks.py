"""What happened at which instant of a run, as marks on its time axis."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.domain.liveness import absence
from pytest_llmserve.domain.plan import COMPLETE, DECIDED
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.stages import level_text, stage_windows
from pytest_llmserve.domain.units import duration_text
from pytest_llmserve.reports.charts.axis import Axis

WARM_UP, RAMP_UP, STAGE, GONE, STALL, ENDED = "warm-up", "ramp-up", "stage", "gone", "stall", "ended"


def run_marks(run: LoadResult, axis: Axis) -> list[dict[str, Any]]:
    """Rows of "at_s", "until_s" (of a stretch), "kind" and "label", in the order of time."""
    plan, marks = run.plan, []

    def mark(kind: str, label: str, at_ns: int, until_ns: int | None = None) -> None:
        row: dict[str, Any] = {"at_s": axis.seconds(at_ns), "kind": kind, "label": label}
        marks.append(row if until_ns is None else row | {"until_s": axis.seconds(until_ns)})

    if plan.warm_up_ns and run.rounds is None:
        mark(WARM_UP, "warm-up", run.start_ns, run.start_ns + plan.warm_up_ns)
    if plan.ramp_up_ns and run.rounds is None:
        mark(RAMP_UP, "ramp-up", run.start_ns, run.start_ns + plan.ramp_up_ns)
    for stage, (begin_ns, end_ns) in stage_windows(plan, run.steady_ns):
        if end_ns > begin_ns:
            mark(STAGE, level_text(plan, stage), begin_ns, end_ns)
    if run.generator.server_gone_ns is not None and run.rounds is None:
        mark(GONE, f"the server {absence(run.generator.server_gone or '')}", run.generator.server_gone_ns)
    for begin_ns, end_ns in run.generator.stalls_ns if run.rounds is None else ():
        late = duration_text(round(end_ns - begin_ns, -6))
        mark(STALL, f"the load generator was late, for {late}", begin_ns, end_ns)
    if run.generator.ended not in {COMPLETE, DECIDED}:
        mark(ENDED, f"the load ended early: {run.generator.ended}", axis.end_ns)
    return sorted(marks, key=lambda row: row["at_s"])

"""What stands in JUnit's file beside a test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.domain.verdict import Verdict
from pytest_llmserve.plugin.junit import property_text
from pytest_llmserve.reports.figures import LOWEST, peaks


def with_figures(
    there: Iterable[tuple[str, object]],
    runs: Sequence[LoadResult],
    verdicts: Iterable[Verdict],
    window: ResourceWindow,
) -> list[tuple[str, object]]:
    """Properties that are there already, with ours in place of those of an earlier attempt.

    Scalars: the plan and figures of the last run, the server's peaks through the test, and each verdict.
    pytest makes values fit for XML, but not names, and a name may be of a task.
    """
    ours: list[tuple[str, object]] = []
    if runs:
        run = runs[-1]
        for name in ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms"):
            figures = getattr(run, name).summary()
            told = [(f"llmserve.{name}.{q}", figures[q]) for q in ("p50", "p95", "p99")]
            ours += [(name, figure) for name, figure in told if figure is not None]
        ours.append(("llmserve.plan", property_text(run.plan.describe())))
        ours.append(("llmserve.requests", len(run.requests)))
        ours.append(("llmserve.failed", len(run.failed)))
    ours += [(f"llmserve.peak.{name}", value) for name, value in peaks(window).items() if name != LOWEST]
    ours += [(property_text(f"llmserve.verdict.{v.what}"), v.verdict) for v in verdicts]
    known = {name for name, _ in ours}
    return [*(entry for entry in there if entry[0] not in known), *ours]

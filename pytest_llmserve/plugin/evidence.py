"""What a test measured, as the checks judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.plugin.options import value

if TYPE_CHECKING:
    from pytest_llmserve.plugin.testrun import TestRun


def evidence_of(
    test: TestRun,
    death: str | None = None,
    server: Mapping[str, Any] | None = None,
    no_run: str | None = None,
) -> Evidence:
    """All its runs, what the server did meanwhile, and what its texts may show.

    Args:
        test: whose own code is over, or was interrupted.
        death: a sentence, when the server's process ended by itself.
        server: "url", "api" and "model"; None = none was opened.
        no_run: why there are no runs; None = no load was asked for.
    """
    found = Evidence(
        tuple(test.runs),
        test.window(),
        test.watch.started_ns if test.watch is not None else None,
        death=death,
        log=test.log.window(),
        server=server or {},
        mixes=test.mixes,
        keep_text=bool(value(test.state.config, "--llm-keep-text")),
        clean=test.redacted,
    )
    return found if no_run is None else replace(found, no_run=no_run)


def baseline_of(against: Evidence | None, run: LoadResult) -> Measurement | str | None:
    """What a run was compared with, as `Evidence` has it; None = with nothing.

    Args:
        against: what `no_regression` judged, or None.
        run: of the same test.
    """
    if against is None:
        return None
    pairs = zip(against.runs, against.baselines, strict=False)
    return next((there for mine, there in pairs if mine is run), None)

"""--llm-save and --llm-compare: which runs are kept, and what each run is compared with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import gone_text
from pytest_llmserve.checks.generator import bottleneck
from pytest_llmserve.checks.measured import measurement_of
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.plugin.settings import compared_with, kept_as
from pytest_llmserve.reports.environment import environment
from pytest_llmserve.reports.kept import KeptRuns

_WHOLE = ("complete", "decided")

REGRESSION = "no_regression"
DID_NOT_PASS = "the test did not pass"
TOO_MANY_FAILED = 0.5
"""From this error rate on a run is no measure: the median of its latencies has no number, and against it
a sick server would look healthy. Below, `no_regression` compares the error rates themselves."""
NOT_JUDGED = f"{REGRESSION} was not judged: give --llm-compare NAME"


def here() -> dict[str, Any]:
    """Where this session measures, as a `Measurement` has it."""
    return {name: value for name, value in environment().items() if name != "definitions"}


def header_lines(config: pytest.Config) -> list[str]:
    """Where runs are kept, and what they are compared with."""
    lines = []
    saved, compared = kept_as(config), compared_with(config)
    if saved is not None:
        lines.append(f'llmserve: runs are kept as "{saved.name}" in {_shown(config, saved)}')
    if compared is not None:
        number, where = _runs(compared.count()), _shown(config, compared)
        lines.append(f'llmserve: compared with "{compared.name}", {number} in {where}')
    return lines


def compared(
    config: pytest.Config,
    nodeid: str,
    evidence: Evidence,
    references: Mapping[int, Measurement | str],
    in_vain: bool = False,
) -> tuple[Evidence | None, str | None]:
    """What `no_regression` judges, and the word for the summary where a run is not judged.

    Without --llm-compare only the runs that had a reference beside them are judged, if any.

    Args:
        config: perhaps with --llm-compare.
        nodeid: of the test.
        evidence: all its runs.
        references: by place of a run, what it had beside it.
        in_vain: a load came to nothing. It may have been a comparison: like any other promise
            this one has no evidence then.
    """
    kept = compared_with(config)
    asked: list[tuple[LoadResult, Measurement | str]] = []
    number = 0
    for place, run in enumerate(evidence.runs):
        if place in references:
            asked.append((run, references[place]))
            continue
        number += 1
        if kept is not None:
            asked.append((run, baseline(kept, nodeid, number)))
    left_out = kept is None and (number > 0 or not (references or in_vain))
    not_judged = NOT_JUDGED if left_out else None
    if left_out and not asked:
        return None, not_judged
    runs, against = tuple(run for run, _ in asked), tuple(there for _, there in asked)
    return replace(evidence, runs=runs, baselines=against, environment=here()), not_judged


def baseline(kept: KeptRuns, nodeid: str, run: int) -> Measurement | str:
    """What a run of a test, from 1, is compared with, or a clause that says why there is nothing."""
    try:
        found = kept.load(nodeid, run)
    except SetupError as error:
        return str(error)
    if found is not None:
        return found
    return f'no kept run "{kept.name}" of this test: {kept.remedy}'


def unfit_outcome(report: pytest.TestReport) -> str | None:
    """Why runs are not kept after this phase of a test, or None."""
    if not report.passed:
        return DID_NOT_PASS
    return "the test was expected to fail" if hasattr(report, "wasxfail") else None


def keep(
    config: pytest.Config,
    nodeid: str,
    runs: Sequence[LoadResult],
    unfit: str | None,
    server: dict[str, Any],
    clean: Callable[[str], str],
) -> dict[str, Any]:
    """Keep the runs of a test, all or none; return what became of it, for the report.

    Args:
        config: with --llm-save.
        nodeid: of the test.
        runs: of its last attempt, those of a comparison left out.
        unfit: why the attempt is none to keep, its teardown too, see `unfit_outcome`; or None.
        server: "url", "api" and "model".
        clean: takes secrets out of a text: a server may repeat them in the header that names a replica.
    """
    kept = kept_as(config)
    assert kept is not None
    server = {name: server.get(name) for name in ("url", "api", "model")}
    told: dict[str, Any] = {"name": kept.name, "runs": 0, "before": 0, "left_out": None, "fault": None}
    unfit = unfit or _unfit(runs)
    if unfit is not None:
        return told | {"left_out": unfit, "before": kept.count(nodeid)}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = [
        measurement_of(run, name=kept.name, environment=here(), server=server, taken_at=now) for run in runs
    ]
    made = [structs.replace(each, served_by=list(map(clean, each.served_by))) for each in made]
    try:
        before = kept.save(nodeid, made)
    except OSError as error:
        why = f"cannot be written: {error.strerror} ({error.filename or kept.folder})"
        fault = f"--llm-save {kept.name}: {why}; make room, or name another folder with llm_measurements"
        return told | {"fault": fault, "left_out": why, "before": kept.count(nodeid)}
    except ValueError as error:  # a field of the request that JSON has not, such as NaN
        return told | {"left_out": f"cannot be written: {error}", "before": kept.count(nodeid)}
    return told | {"runs": len(made), "before": before}


def _unfit(runs: Sequence[LoadResult]) -> str | None:
    """Why these runs are no measure for later ones, or None."""
    if not runs:
        return "a comparison has its reference beside it"
    for number, run in enumerate(runs, 1):
        why = unfit_run(run)
        if why is not None:
            return why if len(runs) == 1 else f"run {number}: {why}"
    return None


def unfit_run(run: LoadResult) -> str | None:
    """Why a run is no measure for later ones, or None."""
    if run.generator.server_gone is not None:
        return gone_text(run.generator.server_gone)
    if run.generator.ended not in _WHOLE:
        return f"the run was cut short: {run.generator.ended}"
    if not run.ok:
        return "no request was answered"
    if run.error_rate >= TOO_MANY_FAILED:
        return f"{len(run.failed)} of {len(run.tried)} requests failed, half or more"
    return bottleneck(run.generator)


def _shown(config: pytest.Config, kept: KeptRuns) -> str:
    return os.path.relpath(kept.folder, config.invocation_params.dir)


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"

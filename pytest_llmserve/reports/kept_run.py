"""A run as `--llm-report x.jsonl` kept it: what it takes to judge and report it again without a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.reports.about import Asked


@dataclass(frozen=True)
class KeptTest:
    """One attempt at a test, as it was when its runs were kept.

    Attributes:
        copy: from 1: which of several of this attempt it is, where processes ran the same test each.
        runs: number of requests of each of its runs.
        resources: the server's samples through the whole test.
        started_ns, no_run, death: as `Evidence` has them.
        asked: by its markers.
        verdicts: as the JSON report has them.
        marks: what happened to its server at which instant, `reports.charts.server_marks`.
        strict: its session had --llm-strict.
        report: what else the JSON report has of the test, such as "log", "liveness" and "stacks".
    """

    nodeid: str
    attempt: int
    runs: tuple[int, ...]
    environment: dict[str, Any]
    server: dict[str, Any] | None
    started_ns: int | None
    no_run: str
    death: str | None
    resources: ResourceWindow
    log: LogWindow
    asked: tuple[Asked, ...]
    verdicts: tuple[dict[str, Any], ...]
    marks: tuple[dict[str, Any], ...]
    report: dict[str, Any]
    copy: int = 1
    strict: bool = False


@dataclass(frozen=True)
class SessionTest:
    """What became of one attempt at a test, whether it has a request in the file or not.

    Attributes:
        nodeid, attempt, outcome, started_at, duration_s: as the JSON report has them.
    """

    nodeid: str
    attempt: int
    outcome: str
    started_at: str | None = None
    duration_s: float | None = None


@dataclass(frozen=True)
class KeptRun:
    """One run of it.

    Attributes:
        number: in the test, from 1.
        result: records, plan, generator, resources and memory as they were; of `plan.params` a hash in
            place of each text, and no `profile`.
        wall_ns: what to add to one of its stamps for the time since 1970.
        baseline: what it was compared with, as `Evidence` has it; None = with nothing.
        report: what else the JSON report has of the run, such as "comparison" and "mix".
    """

    test: KeptTest
    number: int
    result: LoadResult
    wall_ns: int
    baseline: Measurement | str | None
    report: dict[str, Any]

    @property
    def nodeid(self) -> str:
        """pytest's name of its test, with a number where it is another copy of the same attempt."""
        copy = self.test.copy
        return f"{self.test.nodeid} (copy {copy})" if copy > 1 else self.test.nodeid

    @property
    def attempt(self) -> int:
        """Of its test, from 1."""
        return self.test.attempt


def last_attempts(runs: Sequence[KeptRun]) -> list[KeptRun]:
    """Of each test the runs of its last attempt alone, in their order; all copies of it."""
    last: dict[str, int] = {}
    for run in runs:
        last[run.test.nodeid] = max(run.attempt, last.get(run.test.nodeid, 0))
    return [run for run in runs if run.attempt == last[run.test.nodeid]]


def compared_of(runs: Sequence[KeptRun]) -> Evidence | None:
    """What `no_regression` judges: those of them that were compared with something; None = none was."""
    mine = [run for run in runs if run.baseline is not None]
    return evidence_of(mine) if mine else None


def evidence_of(runs: Sequence[KeptRun]) -> Evidence:
    """What the checks judge: the runs of one attempt at a test, at least one.

    What an answer said is not there, and whether it was the right one.
    """
    test = runs[0].test
    compared = [run.baseline for run in runs if run.baseline is not None]
    return Evidence(
        runs=tuple(run.result for run in runs),
        resources=test.resources,
        started_ns=test.started_ns,
        no_run=test.no_run,
        death=test.death,
        baselines=tuple(compared) if len(compared) == len(runs) else (),
        log=test.log,
        environment={name: value for name, value in test.environment.items() if name != "definitions"},
        server=test.server or {},
    )

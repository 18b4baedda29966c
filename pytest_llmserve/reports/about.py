"""What a run's requests need beside them to be judged again: plain data for the first line of each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import msgspec

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.params import as_json
from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.reports.columns import window_columns
from pytest_llmserve.reports.measurement_file import plain_measurement
from pytest_llmserve.reports.private import MARKS, without_private
from pytest_llmserve.reports.request_line import SCHEMA

_MADE_OF_REQUESTS = frozenset(
    {"counts", "duration_s", "metrics", "throughput", "stages", "tasks", "turns", "served_by", "requests"}
)
_OF_RUN = _MADE_OF_REQUESTS | {"plan", "generator", "resources", "slowest", "errors"}
_OF_TEST = frozenset({"nodeid", "attempt", "outcome", "runs", "resources", "server", "verdicts", "kept"})


@dataclass(frozen=True)
class Asked:
    """A promise of the test's markers, as it was written.

    Attributes:
        check: the marker.
        keywords: its arguments, as JSON has them; a compiled regular expression is its text.
    """

    check: str
    keywords: Mapping[str, Any] = field(default_factory=dict)


def run_about(
    run: LoadResult,
    document: Mapping[str, Any],
    wall_ns: int,
    keep_text: bool,
    baseline: Measurement | str | None = None,
) -> dict[str, Any]:
    """Of one run.

    Args:
        run: of any number of requests.
        document: it in the JSON report; what is made of other things than its requests is taken from there.
        wall_ns: what to add to a monotonic stamp for the time since 1970.
        keep_text: fields of the request's body stand there as they were sent.
        baseline: what it was compared with, as `Evidence` has it; None = with nothing.
    """
    about: dict[str, Any] = {
        "schema": SCHEMA,
        "requests": len(run.everything),
        "plan": _plan(run.plan, keep_text),
        "generator": msgspec.to_builtins(run.generator),
        "start_ns": run.start_ns,
        "steady_ns": run.steady_ns,
        "wall_ns": wall_ns,
        "prompts": run.prompts,
        "rounds": run.rounds,
        "resources": window_columns(run.resources),
        "memory": msgspec.to_builtins(run.memory),
        "report": _rest(document, _OF_RUN),
    }
    if baseline is not None:
        about["baseline"] = baseline if isinstance(baseline, str) else plain_measurement(baseline, exact=True)
    return about


def test_about(
    evidence: Evidence,
    document: Mapping[str, Any],
    asked: Sequence[Asked],
    environment: Mapping[str, Any],
    unsent: Sequence[Mapping[str, Any]],
    strict: bool,
) -> dict[str, Any]:
    """Of the whole test, for the first line of its first run that has one.

    Args:
        evidence: on which it was judged.
        document: the test in the JSON report.
        asked: by its markers.
        environment: where it was measured.
        unsent: its runs without a request, which have no line: `run_about` of each, and its number as "run".
        strict: an undecided limit fails it, as with --llm-strict.
    """
    return {
        "runs": [len(run.everything) for run in evidence.runs],
        "unsent": list(unsent),
        "environment": dict(environment),
        "server": document["server"],
        "started_ns": evidence.started_ns,
        "no_run": evidence.no_run,
        "death": evidence.death,
        "resources": window_columns(evidence.resources),
        "log": msgspec.to_builtins(_log(evidence.log, evidence.keep_text)),
        "checks": [{"check": one.check, "keywords": dict(one.keywords)} for one in asked],
        "verdicts": document["verdicts"],
        "strict": strict,
        "marks": document.get(MARKS, []),
        "report": _rest(document, _OF_TEST),
    }


test_about.__test__ = False  # type: ignore[attr-defined]


def _plan(plan: LoadPlan, keep_text: bool) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(plan)
    fields["trace"] = None if plan.trace is None else PurePath(plan.trace).name
    return fields | {"params": as_json(fields["params"], keep_text)}


def _log(log: LogWindow, keep_text: bool) -> LogWindow:
    """Lines may hold prompts."""
    if keep_text:
        return log
    lines = tuple(msgspec.structs.replace(line, text="") for line in log.lines)
    return msgspec.structs.replace(log, lines=lines)


def _rest(document: Mapping[str, Any], told: frozenset[str]) -> dict[str, Any]:
    rest: dict[str, Any] = without_private({name: document[name] for name in document if name not in told})
    return rest

"""One attempt at one test as plain data, for the JSON report."""

from __future__ import annotations

import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.plugin.evidence import baseline_of
from pytest_llmserve.plugin.options import value
from pytest_llmserve.plugin.replicas import replica_header
from pytest_llmserve.reports.charts.reference import REFERENCE, reference
from pytest_llmserve.reports.charts.server_marks import server_marks
from pytest_llmserve.reports.document import run_document, verdict_documents, watched_document
from pytest_llmserve.reports.environment import moment
from pytest_llmserve.reports.private import CHARTS, MARKS
from pytest_llmserve.reports.replicas import unnamed

if TYPE_CHECKING:
    import pytest

    from pytest_llmserve.plugin.testrun import TestRun


WHOLE = (".json", ".html")
DRAWN, KEPT = ".html", ".jsonl"
"""The reports that need what plots are drawn from, and that from which they can be drawn later."""


def document_of(test: TestRun) -> dict[str, Any]:
    """All that is known of it; travels with pytest's report."""
    keep_text = bool(value(test.state.config, "--llm-keep-text"))
    opened, started_ns = test.state.opened, test.watch.started_ns if test.watch is not None else None
    return {
        "nodeid": test.item.nodeid,
        "attempt": test.attempt,
        **_times(started_ns),
        "server": clean(test, opened.document) if opened is not None else None,
        "runs": [_run(test, place, started_ns, keep_text) for place in range(len(test.runs))],
        "verdicts": clean(test, verdict_documents(test.verdicts)),
        "not_judged": test.not_judged,
        "diagnosis": [],
        "resources": watched_document(test.window(), started_ns),
        "log": test.log.document(keep_text),
        "restarts": [] if started_ns is None else [each.as_json(started_ns) for each in test.vigil.outages],
        **test.vigil.document(),
        **_marks(test, started_ns, keep_text),
        **clean(test, test.noted),
    }


def _times(started_ns: int | None) -> dict[str, Any]:
    """When the test's own code began, and how long that is ago; nothing where it did not."""
    if started_ns is None:
        return {}
    duration_s = (time.monotonic_ns() - started_ns) / NS_PER_S
    return {"started_at": moment(time.time() - duration_s), "duration_s": round(duration_s, 3)}


def _wants(test: TestRun, *endings: str) -> bool:
    """A report of such an ending is asked for."""
    paths = value(test.state.config, "--llm-report") or []
    return any(PurePath(path).suffix in endings for path in paths)


def full_report(config: pytest.Config) -> str | None:
    """The first of the reports that has the stacks of the server, as it was named."""
    paths: list[str] = value(config, "--llm-report") or []
    return next((path for path in paths if PurePath(path).suffix in WHOLE), None)


def _run(test: TestRun, place: int, started_ns: int | None, keep_text: bool) -> dict[str, Any]:
    run, compared, mix = test.runs[place], test.compared.get(place), test.mixes.get(place)
    document = run_document(run, keep_text, compared, mix, zero_ns=started_ns, charts=_wants(test, DRAWN))
    against = baseline_of(test.against, run)
    if CHARTS in document and isinstance(against, Measurement):
        document[CHARTS][REFERENCE] = reference(against)
    return _without_secrets(test, _named(document, run, replica_header(test.state.config)))


def _marks(test: TestRun, started_ns: int | None, keep_text: bool) -> dict[str, Any]:
    """What happened to the server at which instant, where that is drawn, now or later."""
    if started_ns is None or not _wants(test, DRAWN, KEPT):
        return {}
    fate = test.vigil.liveness.fate
    marks = server_marks(
        test.window(),
        test.log.window(),
        started_ns,
        outages=test.vigil.outages,
        fate=fate.sentence if fate is not None and fate.fatal else None,
        keep_text=keep_text,
    )
    return {MARKS: clean(test, marks)}


def _named(document: dict[str, Any], run: LoadResult, header: str | None) -> dict[str, Any]:
    """With a word on who served, where a header was to tell and did not."""
    missing = unnamed(run, header)
    return document if missing is None else document | {"served_by_missing": missing}


def clean(test: TestRun, value: Any) -> Any:
    """The same plain data, without secrets in any of its texts."""
    if isinstance(value, str):
        return test.redacted(value)
    if isinstance(value, dict):
        return {key: clean(test, each) for key, each in value.items()}
    return [clean(test, each) for each in value] if isinstance(value, (list, tuple)) else value


def _without_secrets(test: TestRun, run: dict[str, Any]) -> dict[str, Any]:
    """A server may repeat the key it was sent, in an error or an answer."""
    for row in run.get("requests", ()):
        for name in ("error", "text", "finish_reason", "served_by"):
            if row[name]:
                row[name] = test.redacted(row[name])
    for row in run.get("served_by", ()):
        row["name"] = test.redacted(row["name"])
    for name in ("slowest", "errors"):
        run[name] = clean(test, run[name])
    if CHARTS in run:
        run[CHARTS]["marks"] = clean(test, run[CHARTS]["marks"])
    if "comparison" in run:
        _without_secrets(test, run["comparison"]["b"])
    return run

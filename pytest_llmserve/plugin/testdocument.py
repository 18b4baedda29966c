"""One attempt at one test as plain data, for the JSON report."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.plugin.options import value
from pytest_llmserve.plugin.replicas import replica_header
from pytest_llmserve.reports.document import run_document, verdict_documents, watched_document
from pytest_llmserve.reports.replicas import unnamed

if TYPE_CHECKING:
    from pytest_llmserve.plugin.testrun import TestRun


def document_of(test: TestRun) -> dict[str, Any]:
    """All that is known of it; travels with pytest's report."""
    keep_text = bool(value(test.state.config, "--llm-keep-text"))
    header = replica_header(test.state.config)
    opened, started_ns = test.state.opened, test.watch.started_ns if test.watch is not None else None
    runs = [
        run_document(run, keep_text, test.compared.get(place), test.mixes.get(place))
        for place, run in enumerate(test.runs)
    ]
    return {
        "nodeid": test.item.nodeid,
        "attempt": test.attempt,
        "server": clean(test, opened.document) if opened is not None else None,
        "runs": [_without_secrets(test, run) for run in map(_named, runs, test.runs, repeat(header))],
        "verdicts": clean(test, verdict_documents(test.verdicts)),
        "not_judged": test.not_judged,
        "diagnosis": [],
        "resources": watched_document(test.window(), started_ns),
        "log": test.log.document(keep_text),
        **test.vigil.document(),
        **clean(test, test.noted),
    }


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
        for name in ("error", "text", "served_by"):
            if row[name]:
                row[name] = test.redacted(row[name])
    for row in run.get("served_by", ()):
        row["name"] = test.redacted(row["name"])
    return run

"""The published schemas say what is written, no less and no more."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sample_document
from jsonschema import Draft202012Validator

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.measured import measurement_of
from pytest_llmserve.domain.record import Step
from pytest_llmserve.domain.samples import FIGURES
from pytest_llmserve.reports import document as report_document
from pytest_llmserve.reports import measurement_file, request_line
from pytest_llmserve.reports.about import Asked, run_about, test_about
from pytest_llmserve.reports.private import MARKS, without_private

ROOT = Path(__file__).parents[2]
REPORT, REQUEST, MEASUREMENT = "report-1.json", "request-1.json", "measurement-1.json"
PAGES = {REPORT: "docs/report.md", REQUEST: "docs/requests.md", MEASUREMENT: "docs/report.md"}
FREE = {
    REPORT: {"params", "definitions", "by_outcome", "by_pattern", "figures", "series"},
    REQUEST: {"params", "environment", "server", "verdicts", "marks", "report", "samples", "gpu_names"}
    | {"absent", "faults", "parts", "counts", "keywords"},
    MEASUREMENT: {"params", "environment", "definitions", "rates"},
}
"""Keys that hold a table of what is not known beforehand, or is described elsewhere."""
MAY_BE_MISSING = {
    REPORT: {"oom_kills_rise", "throttled_s_rise", "host_available_mb_lowest", "late_ms_max", "full_ms"}
    | {"gpus", "gpu_measure", "series", "tasks", "served_by", "p50", "p99", "max"},
    REQUEST: {"about", "text", "test", "session", "p50", "p99", "max"},
    MEASUREMENT: {"requests_per_s", "output_tokens_per_s", "served_by"},
}
"""Keys that are only there where there is something to tell."""


def schema(name: str) -> Any:
    return json.loads((ROOT / "docs" / "schema" / name).read_text())


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    """One of each kind, with whatever it may have of what is written in one piece."""
    report = without_private(sample_document.document())
    run = sample_document.broken_run(sample_document.ZERO_NS)
    run.requests[0] = request = sample_document.Answers(1).ok(
        0, run.start_ns, 20.0, steps=(Step(sent_ns=1, first_byte_ns=2, end_ns=3, status=200),)
    )
    assert request.steps
    about = run_about(run, report["tests"][1]["runs"][0], 5, True)
    whole = Evidence(runs=(run,), resources=run.resources, log=sample_document.LOG)
    bad = report["tests"][1] | {MARKS: [{"at_s": 1.0}]}
    asked, unsent = [Asked("latency", {"p99_ms": 3})], [{"run": 2, **about}]
    about["test"] = test_about(whole, bad, asked, report["environment"], unsent, strict=True)
    written = b"".join(
        request_line.request_lines(run, about, str, nodeid="t", attempt=1, number=1, keep_text=True)
    )
    first, rest = written.split(b"\n", 1)
    ended = {"started_at": "2026-03-01T14:02:05+00:00", "duration_s": 1.5}
    session = [{"nodeid": "t", "attempt": 1, "outcome": "failed", **ended}]
    written = request_line.with_session(first, session) + rest
    kept = measurement_of(run, name="main", environment={}, server={"url": "u", "api": "a", "model": None})
    measured = measurement_file.plain_measurement(kept) | {"taken_at": "2026-03-01T14:02:05+00:00"}
    return {
        REPORT: report,
        REQUEST: [json.loads(line) for line in written.splitlines()],
        MEASUREMENT: {"schema": measurement_file.SCHEMA, "nodeid": "t", "run": 1, **measured},
    }


def test_what_is_written_is_as_the_schemas_say(documents):
    """The report, every line of the requests, and a kept measurement."""
    report = json.loads(json.dumps(documents[REPORT]))
    assert [*validator(REPORT).iter_errors(report)] == []
    lines = documents[REQUEST]
    assert len(lines) > 100
    assert [error for line in lines[:50] for error in validator(REQUEST).iter_errors(line)] == []
    plain = json.loads(json.dumps(documents[MEASUREMENT]))
    assert [*validator(MEASUREMENT).iter_errors(plain)] == []


@pytest.mark.parametrize("name", PAGES)
def test_each_schema_is_one_and_names_its_version(name):
    """Of JSON Schema 2020-12, complete in itself; a key of our own may be added."""
    found = schema(name)
    Draft202012Validator.check_schema(found)
    versions = {
        REPORT: report_document.SCHEMA,
        REQUEST: request_line.SCHEMA,
        MEASUREMENT: measurement_file.SCHEMA,
    }
    assert found["$id"] == f"urn:pytest-llmserve:schema:{name.removesuffix('.json')}"
    assert versions[name] in json.dumps(found)
    assert versions[name].rpartition("/")[2] == found["$id"].rpartition("-")[2]
    assert all(each["$ref"].startswith("#/$defs/") for each in nodes(found) if "$ref" in each)
    assert not any(each.get("additionalProperties") is False for each in nodes(found))


def nodes(found: Any) -> Iterator[dict[str, Any]]:
    """All objects of a schema."""
    if isinstance(found, dict):
        yield found
    for each in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from nodes(each)


def shortened(value: Any) -> Any:
    """With the first of each list alone, and few figures of the server."""
    if isinstance(value, dict):
        told = {key: each for key, each in value.items() if not is_figure(key) or key.startswith("rss_mb")}
        return {key: shortened(each) for key, each in told.items()}
    return [shortened(each) for each in value[:1]] if isinstance(value, list) and len(value) != 2 else value


def is_figure(key: str) -> bool:
    return key.rpartition("_")[0] in FIGURES


Place = tuple[str | int, ...]


def places(value: Any, free: set[str], at: Place = ()) -> Iterator[Place]:
    """Where the keys of a document are, but those of a table that is free."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield (*at, key)
            if key not in free:
                yield from places(each, free, (*at, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from places(each, free, (*at, number))


def changed(document: Any, place: Place, *new: Any) -> Any:
    """A copy with another value there, or without the key."""
    there = document = copy.deepcopy(document)
    for step in place[:-1]:
        there = there[step]
    if new:
        there[place[-1]] = new[0]
    else:
        del there[place[-1]]
    return document


def mistyped(document: Any, place: Place) -> Any:
    """An object for a number, a number for anything else."""
    there = document
    for step in place:
        there = there[step]
    return 1.5 if isinstance(there, dict | list | str) else {"an": "object"}


@pytest.mark.parametrize("name", PAGES)
def test_a_key_that_is_missing_or_mistyped_is_refused(name, documents):
    """Any of them, at any depth; but for the few that are only there where there is something to tell."""
    whole = documents[name]
    if name == REPORT:
        whole = whole | {"tests": whole["tests"][1:]}
    document = shortened(json.loads(json.dumps(whole[0] if name == REQUEST else whole)))
    check = validator(name)
    assert check.is_valid(document)
    keys = [*places(document, FREE[name])]
    assert len(keys) > 35
    may = {place for place in keys if check.is_valid(changed(document, place))}
    assert {place[-1] for place in may if not is_figure(str(place[-1]))} <= MAY_BE_MISSING[name], may
    may = {place for place in keys if check.is_valid(changed(document, place, mistyped(document, place)))}
    assert may == set()


def keys_of(found: Any) -> set[str]:
    """All keys that a schema knows; of figures their names."""
    named = {key for each in nodes(found) for key in each.get("properties", {})}
    of_figures = {key for each in nodes(found) for key in each.get("patternProperties", {})}
    names = {name for pattern in of_figures for name in re.findall(r"[a-z_]+", pattern.partition(")")[0])}
    return named | names


def in_backticks(text: str) -> set[str]:
    """Whatever looks like a key."""
    return set(re.findall(r"`([a-z][a-z0-9_]*)`", text))


@pytest.mark.parametrize("name", PAGES)
def test_every_key_is_in_the_words_for_people(name):
    """Each one that a schema knows stands on its page."""
    page = (ROOT / PAGES[name]).read_text(encoding="utf-8")
    report = (ROOT / PAGES[REPORT]).read_text(encoding="utf-8")  # to which the others refer
    assert keys_of(schema(name)) - in_backticks(page) - in_backticks(report) == set()


def test_every_key_in_the_words_for_people_is_in_a_schema():
    """Each one in the first column of a table of the pages."""
    known = set().union(*(keys_of(schema(name)) for name in PAGES))
    text = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in sorted({*PAGES.values()}))
    told = set().union(*(in_backticks(row) for row in re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)))
    assert len(told) > 150
    assert told - known == set()

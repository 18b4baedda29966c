"""The example reports in docs/ are what the writers make today."""

from __future__ import annotations

import json

import example_report
import pytest

UPDATE = "it is out of date: run python tests/reports/example_report.py, and look at what has changed"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    example_report.write(folder)
    return folder


def alike(one, other):
    """The same but for the last digits, which differ from one mathematics library to the next."""
    if isinstance(one, float) and isinstance(other, (int, float)):
        return one == pytest.approx(other, rel=1e-6)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


def test_the_json_report_is_that_of_today(made):
    """Every key and figure."""
    name = "example-report.json"
    shown, today = (json.loads((folder / name).read_text()) for folder in (example_report.DOCS, made))
    assert alike(today, shown), UPDATE


def test_the_markdown_report_is_that_of_today(made):
    """Word for word."""
    name = "example-report.md"
    assert (example_report.DOCS / name).read_text() == (made / name).read_text(), UPDATE

"""Files are written whole or not at all."""

from __future__ import annotations

import json
import math
from importlib import import_module

import pytest

from pytest_llmserve.reports import REPORTS
from pytest_llmserve.reports.json_file import write


def test_a_document_is_written_with_its_folders(tmp_path):
    """ASCII, with a line end, and nothing beside it."""
    path = tmp_path / "deep" / "er" / "report.json"
    write({"text": "grün\u2028"}, path)
    raw = path.read_bytes()
    assert json.loads(raw) == {"text": "grün\u2028"}
    assert raw.isascii()
    assert raw.endswith(b"}\n")
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]


@pytest.mark.parametrize("wrong", [{"x": math.nan}, {"x": math.inf}, {"x": object()}])
def test_a_document_that_is_no_json_leaves_the_old_file(wrong, tmp_path):
    """And no half of a new one."""
    path = tmp_path / "report.json"
    path.write_text("the old one")
    with pytest.raises((ValueError, TypeError)):
        write(wrong, path)
    assert path.read_text() == "the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_a_folder_that_is_a_file_is_an_error(tmp_path):
    """OSError, which the plugin turns into words."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        write({}, tmp_path / "taken" / "report.json")


def test_every_ending_names_a_writer():
    """The table of reports holds functions that exist."""
    for target in REPORTS.values():
        module, _, function = target.partition(":")
        assert callable(getattr(import_module(module), function))

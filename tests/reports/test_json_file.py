"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import json
import math
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import sample_document

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


@pytest.mark.parametrize("name", ["json_file", "html.page", "markdown", "jsonl_file"])
def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(name, tmp_path, monkeypatch):
    """The error names the report, whatever the system says."""
    path = tmp_path / "report"
    path.write_text("the old one")

    opened = Path.open

    def full(self: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if "w" not in mode:
            return opened(self, mode, *rest, **named)
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr(Path, "write_text", lambda self, *_, **__: full(self, "w"))
    with pytest.raises(OSError, match="No space left") as raised:
        import_module(f"pytest_llmserve.reports.{name}").write(sample_document.document(), path)
    monkeypatch.undo()
    assert raised.value.filename == str(path)
    assert path.read_text() == "the old one"
    assert [each.name for each in tmp_path.iterdir()] == ["report"]


def test_every_ending_names_a_writer():
    """The table of reports holds functions that exist."""
    for target in REPORTS.values():
        module, _, function = target.partition(":")
        assert callable(getattr(import_module(module), function))

"""Every kind of --llm-report is there whole or not at all."""

from __future__ import annotations

import errno
import importlib
import json
from pathlib import Path

import pytest

from pytest_llmserve.reports import REPORTS

EXAMPLE = Path(__file__).parents[2] / "docs" / "example-report.json"


@pytest.mark.parametrize("ending", REPORTS)
def test_a_disk_that_is_full_leaves_no_part_of_a_report(ending, tmp_path, monkeypatch):
    """What was there before stays, and nothing lies beside it."""

    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    path = tmp_path / f"x{ending}"
    path.write_text("of before")
    monkeypatch.setattr(Path, "replace", full)
    module, _, function = REPORTS[ending].partition(":")
    with pytest.raises(OSError, match="No space left"):
        getattr(importlib.import_module(module), function)(json.loads(EXAMPLE.read_text()), path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "of before"

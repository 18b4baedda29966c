"""The summary of a job of GitHub Actions: a file that is named by the environment, and appended to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_llmserve.plugin.options import ini

VARIABLE = "GITHUB_STEP_SUMMARY"
KEY = "llm_step_summary"
_LEAST_BYTES = 2000
"""Less room than this is not worth a cut page."""


def append_summary(config: pytest.Config, document: dict[str, Any]) -> str | None:
    """Append the session as Markdown to the file of the environment, where there is one.

    Returns:
        A warning where that could not be done. Nobody asked for it by an option, so it fails no build.
    """
    name = os.environ.get(VARIABLE)
    if not name or not document["tests"] or not ini(config, KEY):
        return None
    from pytest_llmserve.reports.markdown import MOST_BYTES, markdown

    path = Path(name)
    try:
        there = path.stat().st_size if path.exists() else 0
        room = MOST_BYTES - there - 1
        if room < _LEAST_BYTES:
            return _warning(path, f"{there} bytes are in it, and GitHub shows {MOST_BYTES} at most")
        text = markdown(document, room)
        with path.open("ab") as file:
            file.write(("\n" + text if there else text).encode("utf-8"))
    except OSError as error:
        return _warning(path, f"it cannot be written: {error.strerror}")
    except Exception as error:
        return _warning(path, f"{type(error).__name__}: {error}; this is pytest-llmserve's fault")
    return None


def _warning(path: Path, why: str) -> str:
    return f"WARNING: nothing of this session is in {VARIABLE} {path}: {why} ({KEY} = false turns it off)"

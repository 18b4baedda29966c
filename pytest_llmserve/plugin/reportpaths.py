"""Where --llm-report writes to, and whether anything can be written there."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.plugin.options import value

FLAG = "--llm-report"


def report_paths(config: pytest.Config) -> dict[str, Path]:
    """Where reports go, by the name that was given; relative paths from where pytest was started."""
    return {name: config.invocation_params.dir / name for name in value(config, FLAG) or []}


def check_reports(config: pytest.Config) -> None:
    """Tests should not run for a report that cannot be. Nothing is made, and no file is left behind.

    Raises:
        SetupError: of all of them: another ending, a folder, or a place where no file can be written.
    """
    faults: dict[str, None] = {}
    for name, path in report_paths(config).items():
        # An empty name is told with the other empty options. Under pytest-xdist the controller writes.
        fault = _fault(path) if name.strip() and not hasattr(config, "workerinput") else None
        if fault is not None:
            faults[f"{FLAG} {path}: {fault}"] = None
    if faults:
        raise SetupError("\n".join(faults))


def _fault(path: Path) -> str | None:
    from pytest_llmserve.reports import REPORTS

    if path.suffix not in REPORTS:
        return f"the ending must be one of {', '.join(REPORTS)}"
    try:
        if path.is_dir():
            return "is a folder; name a file"
        there = next(folder for folder in path.parents if folder.exists())
        if not there.is_dir():
            return f"{there} is a file, where a folder is needed: move it, or name another"
        with TemporaryFile(dir=there):  # it has no name, or one for a moment
            return None
    except OSError as error:
        return f"cannot be written: {error.strerror}; name a file that can be"


def unwritten(path: Path, error: OSError) -> str:
    """Why a report could not be written in the end; the names of unfinished files are left out."""
    place = Path(str(error.filename)) if error.filename else path
    where = f" ({place})" if place in path.parents else ""
    return f"ERROR: {FLAG} {path}: cannot be written: {error.strerror}{where}; name a file that can be"

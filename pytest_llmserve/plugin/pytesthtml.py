"""pytest-html: each test's verdicts and figures in its row, and the way to our own page.

Plain data on pytest's report, so nothing of pytest-html is imported, and it travels between processes.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest


class Extras:
    """Adds to a report's "extras"; pytest-html reads them after."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add what `_llmserve` has."""
        report = yield
        test = getattr(report, "_llmserve", None)
        if test is not None:
            from pytest_llmserve.reports.brief import brief_html

            extras = [_extra("llmserve", "html", str(brief_html(test)))] if _tells(test) else []
            extras += [_extra("llmserve report", "url", link) for link in self._links()]
            report.extras = [*getattr(report, "extras", []), *extras]  # type: ignore[attr-defined]
        return report

    def _links(self) -> list[str]:
        """Where our own pages are, from the folder of theirs."""
        from pytest_llmserve.plugin.reportpaths import report_paths

        page = Path(os.path.expandvars(self._config.getoption("htmlpath"))).expanduser()
        folder = (self._config.invocation_params.dir / page).parent
        pages = [path for path in report_paths(self._config).values() if path.suffix == ".html"]
        return [quote(Path(os.path.relpath(path, folder)).as_posix()) for path in pages]


def _tells(test: dict[str, Any]) -> bool:
    return bool(test["verdicts"] or test["runs"])


def _extra(name: str, kind: str, content: str) -> dict[str, str | None]:
    """As `pytest_html.extras` makes them."""
    return {"name": name, "format_type": kind, "content": content, "mime_type": None, "extension": None}

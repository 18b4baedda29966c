"""Allure: each test's verdicts and figures as attachments of its result, and the server as parameters."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any

import pytest


class Attachments:
    """Attaches while the test's result is open: with the report of its call, or of what failed before."""

    def __init__(self, config: pytest.Config) -> None:
        self._asked = config.getoption("allure_report_dir")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach what `_llmserve` has."""
        report = yield
        test = getattr(report, "_llmserve", None)
        if test is not None and self._asked:
            attach(test)
        return report


def attach(test: Mapping[str, Any]) -> None:
    """To the result that is open.

    Args:
        test: of a document as docs/report.md describes it.
    """
    import allure

    from pytest_llmserve.reports.brief import brief_html, verdict_text
    from pytest_llmserve.reports.private import without_private

    kinds = allure.attachment_type
    if test["verdicts"]:
        allure.attach(verdict_text(test).encode("utf-8", "replace"), "llmserve verdicts", kinds.TEXT)
    if test["runs"]:
        allure.attach(str(brief_html(test)), "llmserve figures", kinds.HTML)
    figures = json.dumps(without_private(test), indent=1)
    allure.attach(figures, "llmserve test", kinds.JSON)
    for name in ("model", "api"):
        told = (test["server"] or {}).get(name)
        if told:  # not part of a test's identity: its history goes on with another model
            allure.dynamic.parameter(f"llm_{name}", told, excluded=True)

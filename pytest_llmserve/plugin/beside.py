"""What is known of the server, beside a failure that is the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_llmserve.plugin.diagnosed import diagnosed, is_diagnosed
from pytest_llmserve.plugin.options import value
from pytest_llmserve.plugin.raised import harmed_lines, told_of
from pytest_llmserve.reports.failure import evidence_text

if TYPE_CHECKING:
    from pytest_llmserve.plugin.testrun import TestRun

TITLE = "llmserve"


def note_raised(
    report: pytest.TestReport, test: TestRun, raised: pytest.ExceptionInfo[BaseException] | None
) -> None:
    """Keep what a phase ended with for the document of the test, where that was not our own verdict."""
    if not is_diagnosed(report) or (test.said and report.when == "call"):
        return
    config = test.state.config
    keep_text = bool(value(config, "--llm-keep-text"))
    test.noted["raised"] = told_of(report, raised, config.rootpath, test.redacted if keep_text else None)


def show_beside(
    report: pytest.TestReport, test: TestRun, raised: pytest.ExceptionInfo[BaseException] | None
) -> None:
    """Add what is known of the server to a test that failed by itself, once: a failure text of ours has it.

    It is a section of the failure, not of the report: to pytest those are captured output, which JUnit's
    XML leaves out, and with `--show-capture=no` the terminal too.
    """
    if not report.failed or test.said:
        return
    test.said = True
    text = evidence_text(
        test.log.bare(test.vigil.liveness.last_words(), test.runs),
        test.log.told(test.runs),
        test.vigil.stack_lines(),
        diagnosed(test),
    )
    inputs = harmed_lines(None if raised is None else raised.value, test.harmed)
    text = "\n".join(filter(None, [*inputs, text]))
    opened = test.state.opened
    if not text or opened is None:
        return
    text = opened.endpoint.redact(text)
    add = getattr(report.longrepr, "addsection", None)
    if add is None:  # an error in a few words, such as that of a missing fixture
        report.sections.append((TITLE, text))
    else:
        add(TITLE, text)

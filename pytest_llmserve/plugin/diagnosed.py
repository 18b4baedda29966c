"""What ran short in a test that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llmserve.checks.diagnosis import diagnose
from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.plugin.sweeping import SWEEPS

if TYPE_CHECKING:
    import pytest

    from pytest_llmserve.plugin.testrun import TestRun


def is_diagnosed(report: pytest.TestReport) -> bool:
    """True of a test that failed, expected or not; one that was skipped has nothing that ran short."""
    return report.failed or (report.skipped and hasattr(report, "wasxfail"))


def diagnosed(test: TestRun) -> list[Diagnosis]:
    """From all that is known of it; once it is finished."""
    fate = test.vigil.liveness.fate
    loaded = bool(test.runs) or SWEEPS in test.noted
    return diagnose(test.runs, test.window(), test.verdicts, fate, test.log.window(), loaded)

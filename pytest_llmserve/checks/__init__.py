"""Judgement: from what was measured to verdicts. Pure; a check is a marker is a frozen dataclass."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pytest_llmserve.domain.errors import SetupError

if TYPE_CHECKING:
    from pytest_llmserve.checks.evidence import Evidence
    from pytest_llmserve.domain.verdict import Verdict

CHECKS: dict[str, str] = {
    "latency": "pytest_llmserve.checks.latency:Latency",
    "throughput": "pytest_llmserve.checks.throughput:Throughput",
    "goodput": "pytest_llmserve.checks.goodput:Goodput",
    "error_rate": "pytest_llmserve.checks.error_rate:ErrorRate",
    "no_leak": "pytest_llmserve.checks.no_leak:NoLeak",
    "no_degradation": "pytest_llmserve.checks.no_degradation:NoDegradation",
    "no_regression": "pytest_llmserve.checks.no_regression:NoRegression",
    "resources": "pytest_llmserve.checks.resources:Resources",
    "no_log_errors": "pytest_llmserve.checks.no_log_errors:NoLogErrors",
    "isolation": "pytest_llmserve.checks.isolation:Isolation",
}
"""Marker -> where its class lies; nothing is imported until asked for."""

BARE = frozenset({"no_log_errors", "isolation"})
"""Markers that promise something without any keyword: there is nothing that one must be told."""


class Check(Protocol):
    """A promise that can be judged. Its dataclass fields are the marker's keywords.

    Attributes:
        stops_early: a load `until="decided"` may end as soon as this check has its verdicts: they are
            right as often as stated however often and whenever they are asked for.
    """

    name: ClassVar[str]
    stops_early: ClassVar[bool]

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each limit and run; never empty."""


def early_enders() -> list[str]:
    """The checks that can end a load `until="decided"`."""
    return [name for name in CHECKS if check_class(name).stops_early]


def no_early_end() -> str:
    """What is wrong with `until="decided"` where no check of the test can end it."""
    return f"until='decided' needs a check that can stop early: {', '.join(early_enders())}"


def check_class(name: str) -> type[Any]:
    """The dataclass behind a marker, made with `domain.keywords.build`.

    Raises:
        SetupError: no such check; the text lists them.
    """
    if name not in CHECKS:
        raise SetupError(f"no check {name!r}: one of {', '.join(CHECKS)}")
    module, _, attribute = CHECKS[name].partition(":")
    found: type[Any] = getattr(import_module(module), attribute)
    return found

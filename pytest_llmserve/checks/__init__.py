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
    "resources": "pytest_llmserve.checks.resources:Resources",
}
"""Marker -> where its class lies; nothing is imported until asked for."""


class Check(Protocol):
    """A promise that can be judged. Its dataclass fields are the marker's keywords."""

    name: ClassVar[str]

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict for each limit and run; never empty."""


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

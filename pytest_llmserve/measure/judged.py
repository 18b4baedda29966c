"""A watch that reads what the checks of a test need."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_llmserve.checks import Check
from pytest_llmserve.checks.no_leak import NoLeak
from pytest_llmserve.checks.resources import Resources
from pytest_llmserve.measure.probes import Watched
from pytest_llmserve.measure.watch import Watch

FULL_FIGURES = frozenset({"uss_mb", "memory_mb"})
"""Figures that only a full reading of memory tells."""


def watch_for(watched: Watched, checks: Sequence[Check]) -> Watch:
    """A watch of the server, not begun yet.

    Args:
        watched: the server, and where it can be looked at.
        checks: of the test.
    """
    leak = next((check for check in checks if isinstance(check, NoLeak)), None)
    return Watch(
        watched,
        gpu_judged=leak is not None and leak.gpu,
        counted=leak.counted if leak is not None else (),
        memory_judged=memory_judged(checks),
    )


def memory_judged(checks: Sequence[Check]) -> bool:
    """True when one of them cannot do without full readings of memory."""
    leaks = any(isinstance(check, NoLeak) and check.mb is not None for check in checks)
    peaks = (check.limits() for check in checks if isinstance(check, Resources))
    return leaks or any(figure in FULL_FIGURES for limits in peaks for figure, _ in limits)

"""What lies with the load generator or its limits, and errors that name their cause."""

from __future__ import annotations

import re

from pytest_llmserve.checks.diagnosis.memory import counted, saying
from pytest_llmserve.checks.diagnosis.scene import Scene
from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.domain.result import GeneratorHealth

BUSY_PERCENT = 90.0
LEAST_LATE_SHARE = 0.1
"""Of the median e2e latency: later sends explain at most as much of it."""
_FILES = re.compile(r"too many open files|EMFILE|ENFILE", re.IGNORECASE)


def generator_bound(scene: Scene) -> Diagnosis | None:
    """The load generator says of itself that it could not keep up."""
    if scene.run is None or scene.run.generator.saturated is None or scene.run.generator.crowded:
        return None
    health = scene.run.generator
    if _hardly_late(health):
        return None
    sentence = (
        f"the load generator may have been the bottleneck ({health.saturated}): what is slow may not be"
        f" the server; {health.remedy}"
    )
    figures: dict[str, float | str] = {"generator_cpu_percent": health.cpu_percent}
    if "p99" in health.send_lag_ms:
        figures["send_lag_p99_ms"] = health.send_lag_ms["p99"]
    return Diagnosis(what="generator-bound", sentence=sentence, figures=figures)


def _hardly_late(health: GeneratorHealth) -> bool:
    """A closed loop whose sends were late, and for nothing else: what is slow by far more is the server."""
    if health.late_share is None or health.dropped or health.cpu_percent > BUSY_PERCENT:
        return False
    return 0 < health.late_share < LEAST_LATE_SHARE


def slower_than_the_rate(scene: Scene) -> Diagnosis | None:
    """Arrivals of an open loop found no connection: too many requests before them were unanswered."""
    if scene.run is None or scene.run.generator.saturated is None or not scene.run.generator.crowded:
        return None
    crowded, most = scene.run.generator.crowded, scene.run.plan.max_concurrency
    sentence = (
        f"{crowded} of {len(scene.run.requests)} arrivals were not sent, as {most} requests were unanswered"
        " at once: the server is slower than the rate; lower the rate, add a replica, or raise"
        " max_concurrency= if so many are meant"
    )
    figures: dict[str, float | str] = {"crowded": crowded, "max_concurrency": most}
    return Diagnosis(what="slower than the rate", sentence=sentence, figures=figures)


def too_many_files(scene: Scene) -> Diagnosis | None:
    """The server's own errors say that it could open nothing more."""
    found = saying(scene, _FILES)
    if not found:
        return None
    figures: dict[str, float | str] = {"requests": len(found)}
    files = scene.peak("open_files")
    had = ""
    if files is not None:
        figures["open_files"] = files
        had = f", and it had up to {files:.0f} open"
    sentence = (
        f"{counted(scene, found)} with an error that says so, first id {found[0].id}{had}:"
        " raise the server's limit (ulimit -n), or let it close what it opens"
    )
    return Diagnosis(what="too many open files", sentence=sentence, figures=figures)

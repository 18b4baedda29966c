"""What lies with the load generator or its limits, and errors that name their cause."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_llmserve.checks.diagnosis.memory import counted, saying
from pytest_llmserve.checks.diagnosis.scene import Scene
from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.verdict import PASS, Verdict

BUSY_PERCENT = 90.0
LEAST_LATE_SHARE = 0.1
"""Of the median e2e latency: later sends explain at most as much of it."""
_FILES = re.compile(r"too many open files|EMFILE|ENFILE", re.IGNORECASE)


def may_be_accused(runs: Sequence[LoadResult], verdicts: Sequence[Verdict], *, alone: bool) -> bool:
    """The generator can be what made a test fail.

    Either a verdict says so (all that a generator could break ask it first), or the test failed by its own
    code, which asked nobody, and nothing else is to be seen.

    Args:
        runs: of the test.
        verdicts: on its limits; where all pass, and where there are none, it failed by its own code.
        alone: the figures show nothing else.
    """
    if any(verdict.spoiled for verdict in verdicts):
        return True
    by_itself = all(verdict.verdict == PASS for verdict in verdicts)
    return alone and by_itself and not any(run.failed for run in runs)


def generator_bound(scene: Scene) -> Diagnosis | None:
    """The load generator says of itself that it could not keep up."""
    if scene.run is None or scene.run.generator.saturated is None or scene.run.generator.crowded:
        return None
    health = scene.run.generator
    if health.server_gone is not None or _hardly_late(health):
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
    if scene.run.generator.server_gone is not None:
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

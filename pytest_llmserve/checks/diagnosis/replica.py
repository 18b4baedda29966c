"""One of several replicas, or models, that is not as the others are."""

from __future__ import annotations

from pytest_llmserve.checks.diagnosis.scene import Scene
from pytest_llmserve.checks.standing_out import most_failures
from pytest_llmserve.checks.standing_out import slowest as slowest_of
from pytest_llmserve.domain.diagnosis import Diagnosis
from pytest_llmserve.domain.units import ms_text

FAILS = "one replica fails"


def failing(scene: Scene) -> Diagnosis | None:
    """Requests fail at one, and hardly at the others."""
    one = None if scene.run is None else most_failures(scene.run)
    if one is None:
        return None
    sentence = (
        f"{one.name}, one of {one.of} that serve, failed {100 * one.own:.1f} % of its requests, the others"
        f" {100 * one.others:.1f} %: look into that one, its log and its process, or take it out of the turns"
    )
    figures: dict[str, float | str] = {
        "served_by": one.name,
        "failed_share": round(one.own, 6),
        "failed_share_others": round(one.others, 6),
    }
    return Diagnosis(what=FAILS, sentence=sentence, figures=figures)


def slow(scene: Scene) -> Diagnosis | None:
    """Answers take long at one, and not at the others."""
    one = None if scene.run is None else slowest_of(scene.run)
    if one is None:
        return None
    sentence = (
        f"{one.name}, one of {one.of} that serve, took {ms_text(one.own)} for an answer (p50), the others"
        f" {ms_text(one.others)}: see what differs there: its machine, its model, what else runs beside it"
    )
    figures: dict[str, float | str] = {
        "served_by": one.name,
        "e2e_p50_ms": round(one.own, 3),
        "e2e_p50_ms_others": round(one.others, 3),
    }
    return Diagnosis(what="one replica is slow", sentence=sentence, figures=figures)

"""Two kept runs side by side: which belong together, and the document of how they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llmserve.checks.differences import differences
from pytest_llmserve.checks.likeness import elsewhere, unlike
from pytest_llmserve.domain.liveness import absence
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.reports.overlaid import curves

SCHEMA = "pytest-llmserve/comparison/1"

Place = tuple[str, int]
"""Name of a test, and the number of a run in it, from 1."""


@dataclass(frozen=True)
class Pair:
    """Two runs that are held against each other.

    Attributes:
        before_at, after_at: where each stands.
        before, after: what is kept of them.
    """

    before_at: Place
    after_at: Place
    before: Measurement
    after: Measurement


def paired(
    before: Mapping[Place, Measurement], after: Mapping[Place, Measurement]
) -> tuple[list[Pair], list[str]]:
    """The runs of one test and one number, and a sentence on each that has no counterpart.

    Where each side has runs of a single test, these belong together whatever they are called.
    """
    names = [list(dict.fromkeys(nodeid for nodeid, _ in side)) for side in (before, after)]
    alone = len(names[0]) == len(names[1]) == 1
    there = {_key(place, alone): (place, run) for place, run in before.items()}
    here = {_key(place, alone): (place, run) for place, run in after.items()}
    pairs = [Pair(there[key][0], here[key][0], there[key][1], here[key][1]) for key in there if key in here]
    left = [f"only before: {_said(there[key][0])}" for key in there if key not in here]
    left += [f"only after: {_said(here[key][0])}" for key in here if key not in there]
    return pairs, left


def _key(place: Place, alone: bool) -> Place:
    return ("", place[1]) if alone else place


def _said(place: Place) -> str:
    return f"{place[0]} run {place[1]}"


def comparison_document(
    names: tuple[str, str], pairs: Iterable[Pair], left: Sequence[str], verdicts: Mapping[str, Any]
) -> dict[str, Any]:
    """How the runs differ, schema "pytest-llmserve/comparison/1"; described in docs/kept.md.

    Args:
        names: what the two sides are called.
        pairs: the runs.
        left: what had no counterpart.
        verdicts: name of a test, that of the later side, -> its verdicts as plain data.
    """
    rows = [_pair(pair) for pair in pairs]
    judged = [{"test": test, **verdict} for test, found in verdicts.items() for verdict in found]
    return {
        "schema": SCHEMA,
        "before": names[0],
        "after": names[1],
        "runs": rows,
        "verdicts": judged,
        "left_out": list(left),
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "test": pair.after_at[0],
        "run": pair.after_at[1],
        "before": _side(pair.before, pair.before_at),
        "after": _side(pair.after, pair.after_at),
        "unlike": [*_other_test(pair), *unlike(pair.before, pair.after)],
        "elsewhere": elsewhere(pair.before, pair.after),
        "doubts": _doubts(pair),
        "differences": [each.as_json() for each in differences(pair.before, pair.after)],
        "_curves": curves(pair.before, pair.after),
    }


def _side(kept: Measurement, place: Place) -> dict[str, Any]:
    return {
        "test": place[0],
        "run": place[1],
        "taken_at": kept.taken_at,
        "counts": dict(kept.counts),
        "server": dict(kept.server),
        "environment": dict(kept.environment),
        "ended": kept.ended,
    }


def _other_test(pair: Pair) -> list[str]:
    there, here = pair.before_at[0], pair.after_at[0]
    return [] if there == here else [f"test {there} there, {here} here"]


def _doubts(pair: Pair) -> list[str]:
    """What makes the figures of a run say little."""
    found = []
    for side, where in ((pair.before, "before"), (pair.after, "after")):
        if side.gone is not None:
            found.append(f"{where}, the server {absence(side.gone)}: {side.gone}")
        elif side.ended not in ("complete", "decided"):
            found.append(f"{where}, the run ended early ({side.ended})")
        if side.spoiled is not None:
            found.append(f"{where}, {side.spoiled}")
    return found

"""What ran short in several tests alike: what to do about it once, with what each of them showed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_RUN = re.compile(r" \(run \d+ of \d+\)$")


@dataclass(frozen=True)
class Shared:
    """One thing that ran short in more than one test.

    Attributes:
        what: in a word or two, as of each.
        remedy: what to try.
        seen: the figures it rests on, in words, and the tests that showed them.
    """

    what: str
    remedy: str
    seen: Mapping[str, Sequence[str]]


def shared(tests: Sequence[Mapping[str, Any]]) -> list[Shared]:
    """Of all diagnoses those that several tests have, in the order in which they came.

    Args:
        tests: documents of tests.
    """
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for test in tests:
        for short in test.get("diagnosis", ()):
            figures, remedy = _taken_apart(short["sentence"])
            found.setdefault((short["what"], remedy), {}).setdefault(figures, []).append(test["nodeid"])
    return [
        Shared(what, remedy, {figures: list(dict.fromkeys(names)) for figures, names in seen.items()})
        for (what, remedy), seen in found.items()
        if remedy and len({name for names in seen.values() for name in names}) > 1
    ]


def alone(test: Mapping[str, Any], told: Sequence[Shared]) -> Iterator[Mapping[str, Any]]:
    """The diagnoses of a test that are not among those `told`."""
    elsewhere = {(each.what, each.remedy) for each in told}
    for short in test.get("diagnosis", ()):
        if (short["what"], _taken_apart(short["sentence"])[1]) not in elsewhere:
            yield short


def _taken_apart(sentence: str) -> tuple[str, str]:
    """The figures, and after the last colon the remedy, which is the same whatever the figures are."""
    run = _RUN.search(sentence)
    figures, _, remedy = sentence[: run.start() if run else None].rpartition(": ")
    return (figures + (run[0] if run else ""), remedy) if figures else (sentence, "")

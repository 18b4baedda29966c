"""Prompts that know where they came from."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import islice

from pytest_llmserve.domain.entry import Entry
from pytest_llmserve.domain.errors import SetupError


class PromptList(list[Entry]):
    """Prompts; a list.

    Attributes:
        source: what reports name as their origin, such as the name of a file; None = nothing to name.
    """

    def __init__(self, entries: Iterable[Entry], source: str | None = None) -> None:
        super().__init__(entries)
        self.source = source


def source_of(prompts: object) -> str | None:
    """Where prompts came from, where they know."""
    return prompts.source if isinstance(prompts, PromptList) else None


def check_limit(call: str, limit: object) -> None:
    """Raise SetupError unless it is None or a whole number from 1 on."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise SetupError(
            f"{call}: limit is {limit!r}: give how many prompts are wanted, a whole number from 1 on"
        )


def picked(entries: Iterator[Entry], limit: int | None, seed: int | None) -> list[Entry]:
    """The first `limit` of them; with a seed as many drawn from all, in a drawn order.

    Drawn by reservoir sampling, so that no more than those are held: Vitter, "Random sampling with a
    reservoir", ACM TOMS 11, 1985, algorithm R.
    """
    if seed is None:
        return list(islice(entries, limit))
    draw = random.Random(seed)
    kept: list[Entry] = []
    for place, entry in enumerate(entries):
        if limit is None or place < limit:
            kept.append(entry)
        elif (instead := draw.randrange(place + 1)) < limit:
            kept[instead] = entry
    draw.shuffle(kept)
    return kept

"""Prompts whose lengths follow a distribution."""

from __future__ import annotations

import math
import os
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pytest_llmserve.domain.entry import all_said
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.load.filler import filler
from pytest_llmserve.load.prompt_list import PromptList, source_of
from pytest_llmserve.load.prompts import as_prompts
from pytest_llmserve.load.sources import from_text
from pytest_llmserve.load.trace import prompt_text

Draw = Callable[[random.Random], float]
Lengths = str | int | tuple[int, int] | Sequence[int] | Draw

COUNT = 100
"""Prompts that are made where no number is said."""
_UNITS = ("words", "chars")
_LONGEST = 10_000_000
_SOURCE_CHARS = 50_000


class Distribution(NamedTuple):
    """One of the distributions: how many figures it takes, which are right, and how a length is drawn."""

    form: str
    arguments: int
    is_right: Callable[..., bool]
    draw: Callable[..., float]


def _lognormal(rng: random.Random, mean: float, deviation: float) -> float:
    # Mean and deviation of the lengths, not of their logarithms: Johnson, Kotz, Balakrishnan, "Continuous
    # univariate distributions" 1, 1994, section 14.3.
    variance = math.log1p((deviation / mean) ** 2)
    return rng.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))


DISTRIBUTIONS: dict[str, Distribution] = {
    "constant": Distribution("constant(n)", 1, lambda n: n >= 1, lambda _rng, n: n),
    "uniform": Distribution(
        "uniform(least, most)",
        2,
        lambda least, most: 1 <= least <= most,
        lambda rng, *ends: rng.uniform(*ends),
    ),
    "normal": Distribution(
        "normal(mean, deviation)",
        2,
        lambda mean, sd: mean >= 1 and sd >= 0,
        lambda rng, *of: rng.normalvariate(*of),
    ),
    "lognormal": Distribution(
        "lognormal(mean, deviation)", 2, lambda mean, sd: mean >= 1 and sd >= 0, _lognormal
    ),
    "exponential": Distribution(
        "exponential(mean)", 1, lambda mean: mean >= 1, lambda rng, mean: rng.expovariate(1 / mean)
    ),
}
"""By name."""

_CALL = re.compile(r"\s*(\w+)\s*\(([^()]*)\)\s*\Z")


def of_lengths(
    lengths: Lengths,
    unit: str = "words",
    *,
    count: int | None = None,
    seed: int = 0,
    source: object = None,
) -> PromptList:
    """Prompts of plain words, whose lengths are drawn; always the same of the same seed.

    Args:
        lengths: "normal(200, 50)", "lognormal(200, 150)" (mean and deviation of the lengths themselves),
            "uniform(10, 500)", "exponential(200)", "constant(100)"; a number for all; a pair (least, most); a
            list of lengths as they were seen, in whose order prompts come, or drawn from with `count`; or a
            function of a `random.Random` that returns a length. A length below 1 is 1.
        unit: of the lengths, "words" or "chars"; the mark before a prompt is not counted.
        count: how many prompts; 100, or as many as the list has lengths.
        seed: of lengths and texts.
        source: whose words are taken: prompts, or the `Path` of a text file; by default English sentences.

    Raises:
        SetupError: an argument is wrong.
    """
    if unit not in _UNITS:
        raise SetupError(f"of_lengths: unit is {unit!r}: give words or chars")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise SetupError(f"of_lengths: count is {count!r}: give a whole number from 1 on")
    rng = random.Random(seed)
    words = _words(source, seed)
    found = [_text(words, rng.randrange(len(words)), n, unit) for n in _drawn(lengths, count, rng)]
    return PromptList(found, source.name if isinstance(source, Path) else source_of(source))


def _drawn(lengths: Lengths, count: int | None, rng: random.Random) -> list[int]:
    if isinstance(lengths, list):
        seen = [_whole(length) for length in lengths]
        if not seen:
            raise SetupError(
                "of_lengths: lengths is empty: give lengths as they were seen, such as [20, 180, 45]"
            )
        return seen if count is None else rng.choices(seen, k=count)
    draw = _draw(lengths)
    return [_clipped(draw(rng)) for _ in range(count or COUNT)]


def _draw(lengths: Lengths) -> Draw:
    if callable(lengths):
        return lengths
    if isinstance(lengths, tuple) and len(lengths) == 2:
        return _of("uniform", list(map(_whole, lengths)), lengths)
    if isinstance(lengths, int) and not isinstance(lengths, bool):
        return _of("constant", [lengths], lengths)
    called = _CALL.match(lengths) if isinstance(lengths, str) else None
    if called is None or called[1] not in DISTRIBUTIONS:
        raise _unknown(lengths)
    try:
        figures = [float(each) for each in called[2].split(",")]
    except ValueError:
        raise _unknown(lengths) from None
    return _of(called[1], figures, lengths)


def _of(name: str, figures: Sequence[float], given: object) -> Draw:
    found = DISTRIBUTIONS[name]
    known = len(figures) == found.arguments and all(map(math.isfinite, figures))
    if not known or not found.is_right(*figures):
        raise SetupError(f"of_lengths: {given!r} is no {found.form} of lengths from 1 on")
    return lambda rng: found.draw(rng, *figures)


def _unknown(given: object) -> SetupError:
    forms = ", ".join(f'"{each.form}"' for each in DISTRIBUTIONS.values())
    return SetupError(
        f"of_lengths: lengths is {given!r}: give {forms}, a number, a pair (least, most), a list"
        " or a function"
    )


def _whole(length: object) -> int:
    if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= _LONGEST:
        raise SetupError(f"of_lengths: the length {length!r} is not a whole number from 1 to {_LONGEST}")
    return length


def _clipped(length: object) -> int:
    if isinstance(length, bool) or not isinstance(length, (int, float)) or not math.isfinite(length):
        raise SetupError(f"of_lengths: the function of lengths returned {length!r}, not a number")
    return max(1, min(_LONGEST, round(length)))


def _words(source: object, seed: int) -> list[str]:
    if source is None:
        return filler(_SOURCE_CHARS, seed).split()
    if isinstance(source, str) and os.path.isfile(source):
        raise SetupError(
            f"of_lengths: source {source!r} is the name of a file: give Path({source!r}) for the words in it"
        )
    try:
        prompts = from_text(source, "file") if isinstance(source, Path) else as_prompts(source)
    except ValueError as error:
        raise SetupError(f"of_lengths: source: {error}") from None
    words = [word for each in prompts for word in prompt_text(all_said(each)).split()]
    if not words:
        raise SetupError("of_lengths: source has no word in it: give prompts, or a text file, with words")
    return words


def _text(words: Sequence[str], at: int, length: int, unit: str) -> str:
    """So many words or characters, from a place on, the words over and over."""
    if unit == "words":
        return " ".join(words[(at + step) % len(words)] for step in range(length))
    parts: list[str] = []
    chars = -1
    while chars < length:
        parts.append(words[(at + len(parts)) % len(words)])
        chars += len(parts[-1]) + 1
    text = " ".join(parts)[:length]
    return f"{text[:-1]}." if text.endswith(" ") else text

"""Prompts that are too long, up to megabytes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.strategies.long import LongText

CHARS_PER_TOKEN = 4
"""Of English; other scripts and lone symbols take fewer characters a token."""

DEFAULT_TOKENS = (1_000, 250_000)
"""4 KB to a megabyte, in letters."""

UNITS: tuple[tuple[str, ...], ...] = (
    ("a",),
    ("word ",),
    ("7",),
    ("\n",),
    ("漢",),
    ("🙂",),
    ("antidisestablishmentarianism",),
    ("[", "]"),
    ('{"a":', "}"),
    ("<b>", "</b>"),
    ("e\u0301",),
    (" ",),
)
"""What is repeated, the simplest first; of two pieces, the first is repeated, then the second."""

Range = int | tuple[int, int]


def oversized_prompts(
    *,
    tokens: Range | None = None,
    bytes: Range | None = None,  # the word users know
) -> st.SearchStrategy[str]:
    """Prompts of one unit over and over: a letter, a word, an emoji, a newline, nested brackets and others.

    They are drawn as unit and length, so that megabytes cost hypothesis nothing, and shown as
    ``'a' * 4097``. A server that fails from some length on shrinks to the shortest prompt that still fails.

    Args:
        tokens: smallest and largest length, or the one length, to within a unit: a token is taken as 4
            characters, as in English. By default 1,000 to 250,000.
        bytes: the same in bytes of UTF-8; in place of `tokens`.

    Raises:
        SetupError: both are given, or a length is not a whole number over 0, or they are in the wrong order.
    """
    if tokens is not None and bytes is not None:
        raise SetupError("oversized_prompts: give tokens= or bytes=, not both")
    if bytes is not None:
        return _repeated(*_limits("bytes", bytes), True)
    least, most = _limits("tokens", DEFAULT_TOKENS if tokens is None else tokens)
    return _repeated(least * CHARS_PER_TOKEN, most * CHARS_PER_TOKEN, False)


def _limits(name: str, given: Any) -> tuple[int, int]:
    pair = (given, given) if type(given) is int else given
    well = isinstance(pair, tuple) and len(pair) == 2 and all(type(n) is int and n > 0 for n in pair)
    if not well or pair[0] > pair[1]:
        raise SetupError(
            f"oversized_prompts: {name}={given!r} is no length; write {name}=8_192, or the smallest and the "
            f"largest: {name}=(1_000, 100_000)"
        )
    return pair[0], pair[1]


@st.composite
def _repeated(draw: st.DrawFn, least: int, most: int, in_bytes: bool) -> str:
    # The length comes first and is the same for every unit: changing the unit then keeps it. Rounded down,
    # else a longer unit would pass for a shorter length, and shrinking would end there.
    length = draw(st.integers(least, most))
    unit = draw(st.sampled_from(UNITS))
    whole = "".join(unit)
    size = len(whole.encode()) if in_bytes else len(whole)
    count = max(1, length // size)
    return LongText(*((piece, count) for piece in unit))

"""Prompts in which there is nothing to see."""

from __future__ import annotations

from hypothesis import strategies as st

from pytest_llmserve.strategies.long import LongText

# All that has the property White_Space, https://www.unicode.org/Public/UCD/latest/ucd/PropList.txt
WHITESPACE = (
    " \n\t\r\v\f\x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)

ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u200e\u200f\u2061\u2062\u2063\ufe0f\u034f"
"""Zero-width space, non-joiner, joiner, word joiner, BOM, soft hyphen and other signs without a width."""

BLANK = "\u2800\u3164\u115f\u1160\uffa0"
"""Letters and symbols that look like a space: a braille blank, fillers of Hangul."""

_LONGEST = 10_000


def empty_prompts() -> st.SearchStrategy[str]:
    """The empty text; whitespace of every kind; signs of no width; letters that look like a space.

    Some are long, drawn as (unit, count) and shown as ``' ' * 4097``.
    """
    return st.one_of(
        st.just(""),
        st.text(st.sampled_from(WHITESPACE), min_size=1, max_size=8),
        st.text(st.sampled_from(ZERO_WIDTH), min_size=1, max_size=8),
        st.text(st.sampled_from(WHITESPACE + ZERO_WIDTH + BLANK), min_size=1, max_size=16),
        _long(),
    )


@st.composite
def _long(draw: st.DrawFn) -> str:
    unit = draw(st.sampled_from(WHITESPACE + ZERO_WIDTH + BLANK))
    return LongText((unit, draw(st.integers(16, _LONGEST))))

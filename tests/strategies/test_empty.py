"""empty_prompts(): nothing to see in any of them."""

from __future__ import annotations

import unicodedata
from random import Random

from hypothesis import find

from pytest_llmserve.strategies.empty import BLANK, WHITESPACE, ZERO_WIDTH, empty_prompts


def test_the_empty_prompt_is_the_simplest():
    """What a server that fails on all of them is reported with."""
    assert find(empty_prompts(), lambda text: True, random=Random(0)) == ""


def test_nothing_in_them_can_be_seen(drawn):
    """Whitespace, signs without a width and blank letters alone."""
    seen = set("".join(drawn(empty_prompts()))) - set(WHITESPACE + ZERO_WIDTH + BLANK)
    assert seen == set()


def test_every_kind_of_whitespace_is_known():
    """All that Python takes for whitespace, but for the four separators of ASCII."""
    known = {chr(n) for n in range(0x110000) if chr(n).isspace()}
    assert known - set(WHITESPACE) == set("\x1c\x1d\x1e\x1f")
    assert {unicodedata.category(c) for c in ZERO_WIDTH} <= {"Cf", "Mn"}


def test_all_kinds_are_drawn(drawn):
    """Empty, whitespace alone, zero-width alone, mixed, long."""
    found = drawn(empty_prompts())
    assert "" in found
    assert any(text and set(text) <= set(WHITESPACE) for text in found)
    assert any(text and set(text) <= set(ZERO_WIDTH) for text in found)
    assert any(set(text) & set(WHITESPACE) and set(text) & set(ZERO_WIDTH) for text in found)
    assert any(len(text) > 1000 for text in found)

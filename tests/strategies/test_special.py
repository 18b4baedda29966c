"""special_characters(): all kinds are there and are drawn."""

from __future__ import annotations

import unicodedata
from random import Random

import pytest
from hypothesis import find

from pytest_llmserve.strategies.special import SPECIAL, special_characters

CODE_POINTS = {
    "every control": {chr(n) for n in (*range(0x20), *range(0x7F, 0xA0))},
    "bidirectional marks": {chr(n) for n in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)},
    "surrogates": set("\ud800\udbff\udc00\udfff"),
    "line separators": set("\u2028\u2029\x85"),
    "noncharacters": set("\ufffe\uffff\ufdd0\U0010ffff"),
    "joiners and byte order marks": set("\u200b\u200d\ufeff"),
    "flags, skins and keycaps": set("🇺🏿\u20e3"),
    "invisible tags": {"\U000e0073"},
}


@pytest.mark.parametrize("kind", CODE_POINTS)
def test_the_characters_that_are_promised_are_in_the_table(kind):
    """By their code points."""
    assert CODE_POINTS[kind] <= {c for samples in SPECIAL.values() for text in samples for c in text}


def test_full_width_and_right_to_left_are_in_the_table():
    """By what Unicode says of their characters."""
    assert unicodedata.east_asian_width(SPECIAL["full width"][0][0]) == "F"
    assert {unicodedata.bidirectional(text[0]) for text in SPECIAL["right to left"]} >= {"R", "AL"}


def test_every_kind_is_drawn(drawn):
    """And towers of combining marks."""
    found = drawn(special_characters())
    missing = [
        kind for kind, samples in SPECIAL.items() if not any(s in text for s in samples for text in found)
    ]
    assert missing == []
    assert any(sum(map(bool, map(unicodedata.combining, text))) > 1000 for text in found)


def test_a_crash_on_a_character_shrinks_to_it():
    """The report shows which one it was."""
    assert find(special_characters(), lambda text: "\u2028" in text, random=Random(0)) == "\u2028"

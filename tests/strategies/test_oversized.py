"""oversized_prompts(): the lengths that are asked for, and shrinking to the shortest that fails."""

from __future__ import annotations

import pytest
from hypothesis import given, seed, settings

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.strategies.hostile import hostile_prompts
from pytest_llmserve.strategies.oversized import UNITS, oversized_prompts

LONGEST_UNIT = max(len("".join(unit).encode()) for unit in UNITS)
MOST_CALLS = 250


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("strategy", [oversized_prompts(), hostile_prompts()], ids=["oversized", "all"])
def test_a_crash_on_length_shrinks_to_the_shortest_that_still_crashes(strategy, number):
    """From whatever was drawn first, to the character, and in the report's own words."""
    calls = 0

    @seed(number)
    @settings(max_examples=100, database=None, deadline=None)
    @given(prompt=strategy)
    def answers(prompt):
        nonlocal calls
        calls += 1
        assert len(prompt) < 4097

    with pytest.raises(AssertionError) as caught:
        answers()
    assert "prompt='a' * 4097," in "\n".join(caught.value.__notes__)
    assert calls < MOST_CALLS


@pytest.mark.parametrize(
    ("limits", "measured", "least", "most"),
    [
        ({"tokens": (1_000, 2_000)}, len, 4_000, 8_000),
        ({"tokens": 1_000}, len, 4_000, 4_000),
        ({"bytes": (1_000, 2_000)}, lambda text: len(text.encode()), 1_000, 2_000),
        ({}, len, 4_000, 1_000_000),
    ],
)
def test_lengths_are_those_asked_for_to_within_a_unit(drawn, limits, measured, least, most):
    """A token counts as 4 characters."""
    lengths = [measured(text) for text in drawn(oversized_prompts(**limits), 100)]
    assert least - LONGEST_UNIT < min(lengths)
    assert max(lengths) <= most


def test_kilobytes_come_as_well_as_megabytes(drawn):
    """Twenty examples are enough for both, and for several units."""
    found = drawn(oversized_prompts(), 20)
    assert min(map(len, found)) < 10_000
    assert max(map(len, found)) > 300_000
    assert len({text[0] for text in found}) >= 4


def test_every_unit_is_drawn(drawn):
    """Letters, words, digits, newlines, CJK, emoji, a long word, brackets, and the rest of the table."""
    found = {text.parts[0][0] for text in drawn(oversized_prompts(tokens=(100, 1_000)))}
    assert found == {unit[0] for unit in UNITS}


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"tokens": 1, "bytes": 1}, "oversized_prompts: give tokens= or bytes=, not both"),
        *(
            (
                {name: wrong},
                f"oversized_prompts: {name}={wrong!r} is no length; write {name}=8_192, or the "
                f"smallest and the largest: {name}=(1_000, 100_000)",
            )
            for name, wrong in [
                ("tokens", 0),
                ("tokens", (2, 1)),
                ("tokens", "8k"),
                ("bytes", 1.5),
                ("bytes", (1, 2, 3)),
                ("bytes", True),
            ]
        ),
    ],
)
def test_a_length_that_is_none_is_refused_at_once(limits, sentence):
    """Where it is written, not when the first example is drawn."""
    with pytest.raises(SetupError) as caught:
        oversized_prompts(**limits)
    assert str(caught.value) == sentence

"""hostile_prompts(): all of them, none too rare."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.strategies.empty import BLANK, WHITESPACE, ZERO_WIDTH
from pytest_llmserve.strategies.hostile import hostile_prompts
from pytest_llmserve.strategies.markup import MARKUP
from pytest_llmserve.strategies.oversized import UNITS
from pytest_llmserve.strategies.special import SPECIAL


def kind_of(text):
    """Which strategy gave it; None when it cannot be told."""
    if hasattr(text, "parts") and text.parts[0][0] in {unit[0] for unit in UNITS} and len(text) > 8_000:
        return "oversized"
    if set(text) <= set(WHITESPACE + ZERO_WIDTH + BLANK):
        return "empty"
    for kind, table in (("markup", MARKUP), ("special", SPECIAL)):
        if any(
            sample in text
            for samples in table.values()
            for sample in samples
            if len(sample) > 2 or kind != "markup"
        ):
            return kind
    return None


def test_each_kind_is_among_twenty(drawn):
    """As many as the profile draws."""
    kinds = {kind_of(text) for text in drawn(hostile_prompts(), 20)}
    assert kinds >= {"empty", "special", "markup", "oversized"}


def test_lengths_are_handed_on(drawn):
    """tokens= and bytes= are those of the long prompts, and are checked at once."""
    assert max(map(len, drawn(hostile_prompts(bytes=(9_000, 10_000)), 100))) in range(8_000, 10_001)
    with pytest.raises(SetupError, match="not both"):
        hostile_prompts(tokens=1, bytes=1)

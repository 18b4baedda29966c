"""Prompts of a chosen length."""

from __future__ import annotations

from pytest_llmserve.load.filler import filler


def test_a_text_has_exactly_the_length_and_is_unlike_any_other():
    """Plain sentences, behind what they begin with."""
    texts = [filler(400, seed) for seed in range(50)]
    assert {len(text) for text in texts} == {400}
    assert len({text[:60] for text in texts}) > 10
    assert len(set(texts)) == 50
    assert filler(40, 1, "Sum up:").startswith("Sum up: ")
    assert filler(3, 1) in filler(400, 1)
    assert filler(0, 1) == ""

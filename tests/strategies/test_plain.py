"""prompts(): nothing in them is hostile."""

from __future__ import annotations

import unicodedata

from pytest_llmserve.strategies.plain import IN_OTHER_LANGUAGES, prompts


def test_plain_prompts_are_short_sentences_of_ordinary_characters(drawn):
    """No control, format, private or unassigned character; in English and in other languages."""
    found = drawn(prompts())
    assert len(set(found)) > 50
    assert all(0 < len(text) < 120 and text == text.strip() for text in found)
    assert {unicodedata.category(c)[0] for text in found for c in text} <= set("LMNPSZ")
    assert set(found) & set(IN_OTHER_LANGUAGES)
    assert set(found) - set(IN_OTHER_LANGUAGES)

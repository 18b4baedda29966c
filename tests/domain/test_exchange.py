"""The length of a prompt."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.exchange import prompt_chars


@pytest.mark.parametrize(
    ("prompt", "chars"),
    [
        ("Hé!", 3),
        ([{"role": "system", "content": "ab"}, {"role": "user", "content": "c"}], 3),
        ([{"role": "user", "content": [{"type": "text", "text": "ab"}, {"type": "image_url"}]}], 2),
        ([{"role": "assistant", "content": None}], 0),
    ],
)
def test_a_prompt_is_as_long_as_its_texts(prompt, chars):
    """Of messages the texts count, whatever else they hold."""
    assert prompt_chars(prompt) == chars

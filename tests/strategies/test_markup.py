"""markup_prompts(): all kinds are there and are drawn."""

from __future__ import annotations

from random import Random

from hypothesis import find

from pytest_llmserve.strategies.markup import MARKUP, markup_prompts

PROMISED = {
    "<script>",
    "{{7*7}}",
    "${7*7}",
    "<|im_start|>",
    "[INST]",
    "<s>",
    "</s>",
    "<tool_call>",
    "<think>",
}


def test_what_is_promised_is_in_the_table_by_itself():
    """Not only within something longer."""
    assert {sample for samples in MARKUP.values() for sample in samples} >= PROMISED


def test_a_crash_on_markup_shrinks_to_it():
    """The report shows which one it was."""
    assert find(markup_prompts(), lambda text: "{{7*7}}" in text, random=Random(0)) == "{{7*7}}"


def test_every_kind_is_drawn(drawn):
    """HTML, XML, JSON, code, formats, templates, chat templates, thoughts, tool calls, media."""
    found = drawn(markup_prompts())
    assert [k for k, samples in MARKUP.items() if not any(s in text for s in samples for text in found)] == []

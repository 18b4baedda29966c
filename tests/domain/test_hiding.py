"""Prompts are taken out of what a server tells, in any form; the server's own words stay."""

from __future__ import annotations

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from pytest_llmserve.domain.hiding import ANSWER, PROMPT, forms, without

ASKED = 'Tell me of the\nblue <whale> & "its" habits'
LONG = "Tell me of the blue whale and of its habits in winter. " * 20


def told(text: str, *said: str) -> str:
    return without(text, forms(said), PROMPT)


@pytest.mark.parametrize(
    "form",
    [str, lambda text: " ".join(text.split()), html.escape, quote, quote_plus, repr, json.dumps],
    ids=["as it is", "on one line", "HTML", "URL", "URL's query", "Python", "JSON"],
)
def test_a_prompt_is_hidden_in_each_form(form):
    """As servers quote it."""
    assert told(f"400: cannot answer {form(ASKED)}, sorry", ASKED).strip("'\"") in {
        "400: cannot answer [prompt], sorry",
        "400: cannot answer '[prompt]', sorry",
        '400: cannot answer "[prompt]", sorry',
    }


def test_a_part_of_a_prompt_is_hidden():
    """An error is cut to 200 characters, and some servers quote the place alone."""
    assert told(f"422: {LONG[:150]}...", LONG) == "422: [prompt]..."
    assert told("422: near 'of its habits in winter'", LONG) == "422: near '[prompt]'"


@pytest.mark.parametrize("own", ["400: the model is not loaded", "503: queue full", "", "short"])
def test_words_of_the_server_stay(own):
    """What is shorter than 12 letters in common is any two texts' in common."""
    assert told(own, LONG) == own


def test_twelve_letters_are_hidden_and_eleven_stay():
    """The limit itself; it counts bytes, so that four Chinese signs are as much."""
    assert told("x abcdefghijkl x", "abcdefghijkl") == "x [prompt] x"
    assert told("x abcdefghijk x", "abcdefghijk") == "x abcdefghijk x"
    assert told("x 鲸鱼心脏 x", "问鲸鱼心脏多大") == "x [prompt] x"
    assert told("x 鲸鱼心 x", "问鲸鱼心脏多大") == "x 鲸鱼心 x"


def test_each_text_is_hidden_and_the_word_says_what_it_was():
    """System prompt, prompt and history of a conversation."""
    assert told(
        "a: You are very brief. b: How old are whales?", "You are very brief.", "How old are whales?"
    ) == ("a: [prompt] b: [prompt]")
    assert without("so far: whales are old", ["whales are old"], ANSWER) == "so far: [answer]"

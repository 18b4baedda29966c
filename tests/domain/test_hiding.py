"""Prompts are taken out of what a server tells, in any form; the server's own words stay."""

from __future__ import annotations

import html
import json
import random
import time
from urllib.parse import quote, quote_plus

import pytest

from pytest_llmserve.domain.hiding import ANSWER, PROMPT, without, without_each

ASKED = 'Tell me of the\nblue <whale> & "its" habits'
LONG = "Tell me of the blue whale and of its habits in winter. " * 20


def told(text: str, *said: str) -> str:
    return without(text, said, PROMPT)


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


def test_capitals_hide_nothing():
    """Of any alphabet; a letter that becomes two in small ones does not move what follows."""
    assert told("400: TELL ME OF THE BLUE WHALE", LONG) == "400: [prompt]"
    assert told("400: \N{LATIN SMALL LETTER SHARP S} GROẞE WALE SINGEN laut", "große Wale singen") == (
        "400: \N{LATIN SMALL LETTER SHARP S} [prompt] laut"
    )
    assert told("400: РАССКАЖИ О КИТАХ!", "расскажи о китах") == "400: [prompt]!"


def by_hand(text: str, said: str) -> str:
    """What `without` should give, of texts of plain small letters: each stretch of 12 tried."""
    marks = bytearray(len(text))
    for at in range(len(text) - 11):
        if text[at : at + 12] in said:
            marks[at : at + 12] = b"\1" * 12
    return "".join("#" if mark else char for mark, char in zip(marks, text, strict=True))


def test_each_stretch_is_found_wherever_it_stands():
    """Texts of two letters have many stretches in common, of all lengths around the limit."""
    drawn = random.Random(4)
    stretches = 0
    for _ in range(300):
        said = "".join(drawn.choices("abc", [6, 2, 1], k=drawn.randint(0, 120)))
        text = "".join(drawn.choices("abc", [6, 2, 1], k=drawn.randint(0, 120)))
        expected = by_hand(text, said)
        stretches += "#" in expected
        assert "".join("#" if part == "!" else part for part in without(text, [said], "!")) == (
            "#".join(part for part in _runs_as_one(expected))
        )
    assert 50 < stretches < 250


def _runs_as_one(marked: str) -> list[str]:
    """What stands between the hidden stretches."""
    while "##" in marked:
        marked = marked.replace("##", "#")
    return marked.split("#")


def test_long_prompts_are_looked_through_quickly():
    """Texts by the dozen cost little more than one: what was said is gone through once."""
    drawn = random.Random(3)
    words = ["".join(drawn.choices("abcdefghijklmnop", k=7)) for _ in range(3000)]
    said = [" ".join(drawn.choices(words, k=300)) for _ in range(300)]
    texts = [f"ERROR CUDA out of memory in worker {number}: {said[number][:50]}" for number in range(60)]
    began_s = time.process_time()
    (one,) = without_each(texts[:1], said, PROMPT, lambda: False)
    one_s, began_s = time.process_time() - began_s, time.process_time()
    every = without_each(texts, said, PROMPT, lambda: False)
    assert every == [f"ERROR CUDA out of memory in worker {number}: [prompt]" for number in range(60)]
    assert one == every[0]
    assert time.process_time() - began_s < 20 * one_s


@pytest.mark.parametrize("said", ["a" * 1_000_000, "the a of " * 100_000], ids=["one letter", "three words"])
def test_a_prompt_of_one_thing_again_and_again_is_quick(said):
    """Each place of it is like each place of the text: no more is looked at than differs."""
    began_s = time.process_time()
    assert told("400: " + said[:3000] + "!", said) in {"400: [prompt]!", "400: [prompt] !"}
    assert time.process_time() - began_s < 5


def test_it_ends_when_it_is_late():
    """After the text that was looked for last; nothing is told then."""
    asked = []
    said = (asked.append(number) or f"How do {number} otters sleep?" for number in range(100))
    assert without_each(["How do 99 otters sleep?"], said, PROMPT, lambda: len(asked) > 3) is None
    assert len(asked) == 4

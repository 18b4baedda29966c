"""What is said, and when: pure laws."""

from __future__ import annotations

import statistics

import pytest

from pytest_llmserve.simulator.speech import answer, feeling, split_tokens
from pytest_llmserve.simulator.timing import TimingLaw


def test_the_same_prompt_gets_the_same_answer():
    """Always; another prompt, or another turn before it, another answer."""
    said = answer("", "hello", 16)
    assert said == answer("", "hello", 16)
    assert len({said, answer("", "hallo", 16), answer("", "hello", 16, earlier="before")}) == 3
    assert len(split_tokens(said)) == 16


def test_a_mark_is_repeated_first_and_changes_nothing_else():
    """So that an answer tells whose it is; the first mark of the last message counts."""
    said = answer("", "hello", 15)
    assert answer("", "[1a2b3c4d] hello", 16) == "[1a2b3c4d] " + said
    marked = answer("", "[1a2b3c4d] Copy. [5a6b7c8d]", 2, earlier="[ffffffff] Copy.")
    assert marked.startswith("[1a2b3c4d] ")
    assert answer("[1a2b3c4d] Be kind.", "hello", 3) == "[1a2b3c4d] " + answer("Be kind.", "hello", 2)
    assert answer("", "Copy.", 2, earlier="[ffffffff]").startswith("[ffffffff] ")


def test_a_system_message_is_heard_in_the_answer():
    """In one word, so that another's can be told from it; the rest stays."""
    plain, pirate = answer("", "hello", 16).split(), answer("SYSTEM pirate", "hello", 16).split()
    clerk = answer("SYSTEM clerk", "hello", 16).split()
    assert len({plain[0], pirate[0], clerk[0]}) == 3
    assert plain[1:] == pirate[1:] == clerk[1:]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("A wonderful, friendly place.", "positive"),
        ("Terrible food and rude staff.", "negative"),
        ("It was not bad.", "positive"),
        ("I didn't like it.", "negative"),
        ("A table.", "positive"),
    ],
)
def test_a_feeling_is_one_word(text, word):
    """Exactly that, mark or no mark."""
    assert feeling(text) == word
    assert answer("", f"[1a2b3c4d] What is the sentiment of: {text}", 16) == word
    assert answer("", f"Is this positive or negative? {text}", 16) == word


@pytest.mark.parametrize("text", ["", "a", " a  b\n", "x" * 40, "\n\n", "日本 語"])
def test_tokens_joined_are_the_text(text):
    """None is lost, whatever a fault has put there."""
    assert "".join(split_tokens(text)) == text


def test_tokens_are_due_by_the_law():
    """Base, prompt, cliff, gaps, and what a fault adds."""
    law = TimingLaw(ttft_ms=10, prefill_ms=100, cliff_tokens=500, cliff_ms=1000, itl_ms=2)
    assert law.dues_ms(1, 500, 3) == [60, 62, 64]
    assert law.dues_ms(1, 501, 1) == pytest.approx([1060.1])
    assert law.dues_ms(1, 0, 3, late_ms=5, token_late_ms=1) == [15, 18, 21]
    assert law.dues_ms(1, 0, 0) == []


def test_the_spread_is_a_lognormal_law_of_its_seed():
    """The law's times stay the medians; a request's own times are the same whenever it is asked."""
    law = TimingLaw(ttft_ms=100, itl_ms=10, spread=0.5, seed=3)
    drawn = [law.dues_ms(number, 0, 2) for number in range(2000)]
    assert drawn[7] == law.dues_ms(7, 0, 2)
    assert drawn[7] != TimingLaw(ttft_ms=100, itl_ms=10, spread=0.5, seed=4).dues_ms(7, 0, 2)
    firsts, gaps = zip(*[(first, second - first) for first, second in drawn], strict=True)
    assert statistics.median(firsts) == pytest.approx(100, rel=0.06)
    assert statistics.median(gaps) == pytest.approx(10, rel=0.06)
    assert statistics.quantiles(firsts, n=100)[83] == pytest.approx(100 * 2.718**0.5, rel=0.12)

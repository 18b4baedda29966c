"""Fields of a request as they are kept: alike or not is told, what was said is not."""

from __future__ import annotations

import math

import pytest

from pytest_llmserve.checks.params import as_json, named, without_texts


@pytest.mark.parametrize("value", [0.2, 64, True, None])
def test_numbers_and_switches_are_kept_as_they_are(value):
    assert without_texts({"anything": value}) == {"anything": value}


@pytest.mark.parametrize("keep_text", [False, True])
def test_numbers_that_json_has_not_are_words(keep_text):
    """As they are sent; told again, they stay."""
    told = as_json({"temperature": math.nan, "top_p": -math.inf, "n": 1.5}, keep_text)
    assert told == {"temperature": "NaN", "top_p": "-Infinity", "n": 1.5}
    assert as_json(told, keep_text) == told
    assert as_json({"bias": {"a": [math.inf]}}, keep_text=True) == {"bias": {"a": ["Infinity"]}}


def test_words_of_an_api_are_kept_in_their_fields_alone():
    assert without_texts({"reasoning_effort": "low"}) == {"reasoning_effort": "low"}
    assert without_texts({"user": "low"})["user"].startswith("sha256:")
    assert without_texts({"tool_choice": "call Aunt Agatha"})["tool_choice"].startswith("sha256:")


@pytest.mark.parametrize(
    "secret",
    ["You are Aunt Agatha.", ["Agatha"], {"key": "Agatha"}, [{"content": ["Agatha", 1, None]}]],
)
def test_any_other_text_is_a_hash_however_deep_it_lies(secret):
    (kept,) = without_texts({"system": secret}).values()
    assert kept.startswith("sha256:")
    assert "Agatha" not in kept


def test_what_is_alike_is_known_of_the_hashes():
    """Also where the fields of an object stand in another order."""
    first, same, other = (
        without_texts({"format": value})
        for value in ({"type": "json", "depth": 2}, {"depth": 2, "type": "json"}, {"type": "json"})
    )
    assert first == same != other


def test_a_side_is_named_by_numbers_and_the_names_of_its_fields():
    params = {"temperature": 0.2, "system": "You are Aunt Agatha."}
    assert named({"max_tokens": 2, "params": params}) == "max_tokens=2, params of temperature=0.2 and system"
    assert named({"params": {}}) == "params of nothing"

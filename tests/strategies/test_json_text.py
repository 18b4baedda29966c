"""Places in JSON, and bytes put there."""

from __future__ import annotations

import pytest

from pytest_llmserve.strategies.json_text import opened, paths, replaced, without, written

BODY = {"a": [{"b": "c"}, 2], "d": {}}


def test_every_place_is_found():
    """Fields and items, the outer ones first."""
    assert list(paths(BODY)) == [("a",), ("d",), ("a", 0), ("a", 1), ("a", 0, "b")]


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ((), b"", b""),
        (("a", 0, "b"), b'{"a": [{"b": ', b'}, 2], "d": {}}'),
        (("d",), b'{"a": [{"b": "c"}, 2], "d": ', b"}"),
    ],
)
def test_a_body_is_opened_at_a_place(path, before, after):
    """What stands before the value there, and what after it."""
    assert opened(BODY, path) == (before, after)


def test_changes_leave_the_body_as_it_was():
    """They are made in copies."""
    assert replaced(BODY, ("a", 0, "b"), None) == {"a": [{"b": None}, 2], "d": {}}
    assert without(BODY, ("a", 0)) == {"a": [2], "d": {}}
    assert BODY == {"a": [{"b": "c"}, 2], "d": {}}


def test_text_is_written_as_utf8_and_what_has_none_as_an_escape():
    """A lone surrogate."""
    assert written("é") == '"é"'.encode()
    assert written("\ud800") == b'"\\ud800"'

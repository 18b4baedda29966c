"""Long values say how they were made."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis.vendor.pretty import pretty

from pytest_llmserve.strategies.long import LongBytes, LongText


@pytest.mark.parametrize(
    ("value", "shown", "plain"),
    [
        (LongText(("a", 4097)), "'a' * 4097", "a" * 4097),
        (LongText(("[", 2), ("]", 2)), "'[' * 2 + ']' * 2", "[[]]"),
        (LongText(("x", 1), ("", 9), ("\x00", 3), ("y", 0)), "'x' + '\\x00' * 3", "x\x00\x00\x00"),
        (LongText(), "''", ""),
        (LongBytes((b"{", 1), (b"[", 9)), "b'{' + b'[' * 9", b"{[[[[[[[[["),
        (LongBytes(), "b''", b""),
    ],
)
def test_a_long_value_is_shown_as_the_expression_that_gives_it(value, shown, plain):
    """In reports of pytest and of hypothesis; the expression evaluates to the value."""
    assert repr(value) == pretty(value) == shown
    assert eval(shown) == value == plain


def test_a_long_text_is_a_text_everywhere():
    """JSON, UTF-8, copies and pickles take it for what it is."""
    value = LongText(("ab", 3))
    assert json.dumps(value) == '"ababab"'
    assert value.encode() == b"ababab"
    for made in (copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert (made, repr(made)) == (value, "'ab' * 3")
    assert pickle.loads(pickle.dumps(LongBytes((b"ab", 3)))) == b"ababab"


def test_a_pickle_holds_the_parts_alone():
    """A megabyte goes to another process as a few bytes."""
    assert len(pickle.dumps(LongText(("a", 1_000_000)))) < 200

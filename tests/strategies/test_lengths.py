"""Bodies whose Content-Length lies: every way to lie is drawn, and a crash on it shrinks."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import find

from pytest_llmserve.strategies import malformed_bodies
from pytest_llmserve.strategies.lengths import WrongLength, wrong_length

BODY = {"prompt": "Say hi."}
SIZE = len(json.dumps(BODY))

WAYS = {
    "too long": lambda lie: (lie.promised_bytes or 0) > len(lie),
    "too long for a machine word": lambda lie: (lie.promised_bytes or 0) >= 2**64,
    "too short": lambda lie: lie.promised_bytes is not None and lie.promised_bytes < len(lie),
    "negative": lambda lie: isinstance(lie.content_length, int) and lie.content_length < 0,
    "no number": lambda lie: isinstance(lie.content_length, str),
    "twice": lambda lie: isinstance(lie.content_length, tuple) and len(set(lie.content_length)) == 2,
    "both": lambda lie: lie.transfer_encoding is not None and lie.content_length is not None,
    "in chunks": lambda lie: lie.transfer_encoding is not None and lie.endswith(b"\r\n0\r\n\r\n"),
    "left out": lambda lie: lie.content_length is None,
}


@pytest.fixture(scope="module")
def lies(drawn):
    return drawn(wrong_length(BODY), 300)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_lie_is_drawn(lies, way):
    assert any(WAYS[way](lie) for lie in lies)


def test_every_one_of_them_lies(lies):
    """About a body that is right; none tells its length plainly."""
    assert all(isinstance(lie, WrongLength) for lie in lies)
    assert [lie for lie in lies if lie.headers == (("Content-Length", str(len(lie))),)] == []
    assert all(json.dumps(BODY).encode() in lie for lie in lies)


def test_they_are_among_the_malformed_bodies_and_shrink_to_the_smallest_lie():
    """The report names it."""
    lie = find(
        malformed_bodies(valid=BODY),
        lambda body: isinstance(body, WrongLength) and (body.promised_bytes or 0) >= SIZE + 10,
        random=Random(0),
    )
    assert repr(lie) == f"WrongLength({json.dumps(BODY).encode()!r}, content_length={SIZE + 10})"

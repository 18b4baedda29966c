"""Each kind of damage does the damage it is named for."""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.strategies import WrongLength
from pytest_llmserve.strategies.damage import BAD_UTF8, ENCODINGS, KINDS
from pytest_llmserve.strategies.json_text import paths, value_at

BODY = {"model": "m", "messages": [{"role": "user", "content": "Say hi."}], "max_tokens": 1}


class Twice(ValueError):
    """A field is there twice."""


def once(pairs):
    if len({key for key, _ in pairs}) < len(pairs):
        raise Twice
    return dict(pairs)


def number(text):
    raise ValueError(text)


def parsed(data):
    """What a strict parser makes of it; raises ValueError or RecursionError."""
    return json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=number)


def unreadable(data):
    try:
        parsed(data)
    except (ValueError, RecursionError):
        return True
    return False


@pytest.fixture(scope="module")
def damaged(drawn):
    """Kind -> bodies, drawn once."""
    return {kind: drawn(damage(BODY), 120) for kind, damage in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_no_body_is_what_the_api_asks_for(damaged, kind):
    """Bytes, of many sorts, none of which a strict server has to take."""
    assert all(isinstance(body, bytes) for body in damaged[kind])
    assert len(set(map(repr, damaged[kind]))) >= 5
    assert [
        body
        for body in damaged[kind]
        if not isinstance(body, WrongLength)  # its head is what is wrong with it
        and not unreadable(body)
        and json.dumps(parsed(body)) == json.dumps(BODY)
    ] == []


@pytest.mark.parametrize("kind", ["duplicate keys", "bad UTF-8", "truncated", "not JSON"])
def test_a_strict_parser_refuses_them(damaged, kind):
    """All bodies of these kinds."""
    assert [body for body in damaged[kind] if not unreadable(body)] == []


@pytest.mark.parametrize("kind", ["missing", "wrong type", "wrong content"])
def test_they_are_json_and_mean_something_else(damaged, kind):
    """All bodies of these kinds."""
    assert [body for body in damaged[kind] if unreadable(body)] == []


def test_what_is_missing_is_needed(damaged):
    """A body without max_tokens would be a valid one, and its answer without an end."""
    found = [parsed(body) for body in damaged["missing"]]
    assert [
        body for body in found if isinstance(body, dict) and body.get("messages") == BODY["messages"]
    ] == []


def test_a_wrong_type_is_another_type_in_one_place(damaged):
    """The rest stays as it is."""
    for body in damaged["wrong type"]:
        found = parsed(body)
        places = [path for path in paths(BODY) if _at(found, path) is not _at(BODY, path)]
        assert any(type(_at(found, path)) is not type(value_at(BODY, path)) for path in places), body


def _at(value, path):
    try:
        return value_at(value, path)
    except (KeyError, IndexError, TypeError):
        return None


def test_numbers_are_beyond_every_machine_word(damaged):
    """NaN, infinities, 2**64 and numbers of thousands of digits."""
    found = damaged["numbers"]
    for text in (b"NaN", b"Infinity", b"1e999", b"18446744073709551616"):
        assert any(text in body for body in found), text
    assert max(map(len, found)) > 10_000


def test_nesting_is_deep_and_shows_its_depth(damaged):
    """Deeper than any parser goes by recursion; the report shows unit and count."""
    found = damaged["nesting"]
    assert max(body.count(b"[") + body.count(b"{") for body in found) > 10_000
    assert max(len(repr(body)) for body in found) < 300


def test_bad_utf8_is_of_every_sort(damaged):
    """No first byte, no last one, too long, a surrogate, beyond Unicode."""
    for bad in BAD_UTF8:
        with pytest.raises(UnicodeDecodeError):
            bad.decode()
        assert any(bad in body for body in damaged["bad UTF-8"]), bad


def test_other_encodings_and_byte_order_marks(damaged):
    """All of them are drawn; none is plain UTF-8."""
    starts = {body[:4] for body in damaged["encodings"]}
    assert len(starts) == len(ENCODINGS)
    assert all(unreadable(body) or "user" in parsed(body) for body in damaged["encodings"])


def test_cuts_are_anywhere(damaged):
    """From nothing to all but the last byte."""
    whole = json.dumps(BODY).encode()
    assert {len(body) for body in damaged["truncated"]} >= {0, len(whole) - 1}
    assert all(whole.startswith(body) for body in damaged["truncated"])


def test_far_too_many_items(damaged):
    """Thousands of messages, shown as one."""
    longest = max(damaged["wrong content"], key=len)
    assert len(parsed(longest)["messages"]) > 1_000
    assert len(repr(longest)) < 300

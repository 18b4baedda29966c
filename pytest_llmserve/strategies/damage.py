"""What can be wrong with a body: each kind takes a valid one and gives the broken ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from pytest_llmserve.strategies.json_text import opened, paths, replaced, value_at, without, written
from pytest_llmserve.strategies.lengths import wrong_length
from pytest_llmserve.strategies.long import LongBytes

Body = Mapping[str, Any]
Damage = Callable[[Body], st.SearchStrategy[bytes]]

VALUES: tuple[Any, ...] = (None, True, 0, -1, 1.5, "", "text", [], [None], ["a"], [[]], {}, {"a": 1})

NUMBERS = (
    *(b"NaN", b"Infinity", b"-Infinity", b"nan", b"1e999", b"-1e999", b"1e-999", b"-0", b"-1", b"0.5"),
    *(b"2147483648", b"4294967296", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616"),
    *(b"1e308", b"1.0", b"01", b"+1", b".5", b"1.", b"0x10", b"1_000", b"--1", b"1e"),
)
"""Too large, too small, and what only looks like JSON."""

BAD_UTF8 = (
    *(b"\xff", b"\xfe", b"\x80", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x99"),  # no first byte, no last one
    *(b"\xc0\xaf", b"\xe0\x80\x80", b"\xf0\x80\x80\x80"),  # longer than need be
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80"),  # no characters
)

BAD_STRINGS = (
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\\uZZZZ"', b'"\\u12"', b'"\\x41"', b'"\\"', b'"'),
    *(b"'text'", b"text", b'"\x00"', b'"\n"', b'"a" "b"', b"undefined", b"None", b"True"),
)
"""Escapes, quotes and words that JSON does not know, or knows and hardly anyone expects."""

NOT_JSON = (
    *(
        b"",
        b" ",
        b"\n",
        b"\x00",
        b"text",
        b"prompt=Say+hi.",
        b"<prompt>Say hi.</prompt>",
        b"- prompt: Say hi.",
    ),
    *(b"{", b"}", b"[", b"{}{}", b"{} {}", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b"[1,]", b"{'a': 1}"),
    *(
        b"{a: 1}",
        b"{} // comment",
        b"/* comment */ {}",
        b'{"a": 1 "b": 2}',
        b"\x1f\x8b\x08\x00",
        b"\x82\xa1a\x01",
    ),
)

WHOLE = (b"{}", b"[]", b"null", b"true", b"0", b'""', b'"text"', b"[{}]", b"[[]]", b'{"":""}')
"""JSON that is no request."""

OPTIONAL = frozenset({"max_tokens", "model", "stream", "temperature"})
"""Fields that a server may well do without."""

ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7")

NESTS = (
    (b"[", b"", b"]"),
    (b'{"a":', b"1", b"}"),
    (b'[{"a":', b"1", b"}]"),
    (b"[", b"", b""),
    (b'{"a":', b"", b""),
)
_DEEPEST = 100_000
_MOST_ITEMS = 10_000
_MOST_DIGITS = 100_000
_UNKNOWN = ("unknown_field", "__proto__", "constructor", "", "\x00", "a" * 1000, "模型")


def missing(body: Body) -> st.SearchStrategy[bytes]:
    """A field or an item that is needed is left out, or everything is."""
    needed = [path for path in paths(body) if path[-1] not in OPTIONAL]
    return st.sampled_from((*WHOLE, *(written(without(body, path)) for path in needed)))


def wrong_type(body: Body) -> st.SearchStrategy[bytes]:
    """A value of another type in one place."""
    changes = [
        replaced(body, path, value)
        for path in paths(body)
        for value in VALUES
        if type(value) is not type(value_at(body, path))
    ]
    return st.sampled_from([written(change) for change in changes])


@st.composite
def numbers(draw: st.DrawFn, body: Body) -> bytes:
    """NaN, infinities, numbers that no machine word holds, and what only looks like a number."""
    before, after = opened(body, draw(_places(body)))
    if draw(st.booleans()):
        return LongBytes((before + b"9", 1), (b"0", draw(st.integers(20, _MOST_DIGITS))), (after, 1))
    return before + draw(st.sampled_from(NUMBERS)) + after


@st.composite
def nesting(draw: st.DrawFn, body: Body) -> bytes:
    """Brackets within brackets, closed or not, in place of a value or of the body."""
    place = draw(st.one_of(st.just(()), _places(body)))
    before, after = opened(body, place)
    left, middle, right = draw(st.sampled_from(NESTS))
    depth = draw(st.integers(8, _DEEPEST))
    return LongBytes((before, 1), (left, depth), (middle, 1), (right, depth), (after, 1))


@st.composite
def duplicate_keys(draw: st.DrawFn, body: Body) -> bytes:
    """A field twice, with another value or the same, before or after."""
    key = draw(st.sampled_from(tuple(body)))
    again = written({key: draw(st.sampled_from((*VALUES, body[key])))})[1:-1]
    whole = written(body)
    if draw(st.booleans()):
        return b"{" + again + b", " + whole[1:]
    return whole[:-1] + b", " + again + b"}"


@st.composite
def bad_utf8(draw: st.DrawFn, body: Body) -> bytes:
    """Bytes that are no UTF-8, in a text or in a field's name."""
    bad = draw(st.sampled_from(BAD_UTF8))
    texts = [path for path in paths(body) if isinstance(value_at(body, path), str)]
    in_a_text = draw(st.booleans())
    if texts and in_a_text:
        before, after = opened(body, draw(st.sampled_from(texts)))
        return before + b'"Say ' + bad + b' hi."' + after
    return written(body)[:-1] + b', "' + bad + b'": 1}'


@st.composite
def encodings(draw: st.DrawFn, body: Body) -> bytes:
    """Another encoding than UTF-8, or a byte order mark."""
    text = json.dumps({**body, "user": "é"}, ensure_ascii=False)
    return text.encode(draw(st.sampled_from(ENCODINGS)))


@st.composite
def truncated(draw: st.DrawFn, body: Body) -> bytes:
    """Cut off anywhere."""
    whole = written(body)
    return whole[: draw(st.integers(0, len(whole) - 1))]


@st.composite
def bad_strings(draw: st.DrawFn, body: Body) -> bytes:
    """Escapes, quotes and words that JSON does not know, or knows and hardly anyone expects."""
    before, after = opened(body, draw(_places(body)))
    return before + draw(st.sampled_from(BAD_STRINGS)) + after


def not_json(body: Body) -> st.SearchStrategy[bytes]:
    """Nothing, plain text, XML, a form, packed bytes, JSON with comments or a comma too many."""
    whole = written(body)
    return st.sampled_from((*NOT_JSON, whole + whole, whole + b"x", whole[:-1] + b",}", b"x" + whole))


@st.composite
def wrong_content(draw: st.DrawFn, body: Body) -> bytes:
    """The right types with the wrong things in them: unknown fields, far too many items, a strange text."""
    lists = [path for path in paths(body) if isinstance(found := value_at(body, path), list) and found]
    in_a_list = draw(st.booleans())
    if lists and in_a_list:
        path = draw(st.sampled_from(lists))
        before, after = opened(body, path)
        item = written(value_at(body, path)[0])
        times = draw(st.integers(2, _MOST_ITEMS))
        return LongBytes((before + b"[", 1), (item + b", ", times), (item + b"]" + after, 1))
    unknown = {draw(st.sampled_from(_UNKNOWN)): draw(st.sampled_from(VALUES))}
    return written({**body, **unknown})


def _places(body: Body) -> st.SearchStrategy[tuple[str | int, ...]]:
    return st.sampled_from(list(paths(body)))


KINDS: dict[str, Damage] = {
    "missing": missing,
    "wrong type": wrong_type,
    "numbers": numbers,
    "nesting": nesting,
    "duplicate keys": duplicate_keys,
    "bad UTF-8": bad_utf8,
    "encodings": encodings,
    "truncated": truncated,
    "bad strings": bad_strings,
    "not JSON": not_json,
    "wrong content": wrong_content,
    "wrong length": wrong_length,
}
"""Kind of damage -> its bodies. A new kind is one row."""

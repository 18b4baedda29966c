"""Telling the form of a body by its type and its first bytes."""

from __future__ import annotations

import pytest

from pytest_llmserve.dialects.framing import (
    EVENTS,
    LINES,
    TEXT,
    WHOLE,
    declared,
    events_or_text,
    framing,
    is_json,
    lines_or_text,
    may_be_page,
    sniff,
)


@pytest.mark.parametrize(
    ("content_type", "takes_lines", "kind"),
    [
        ("text/event-stream", False, EVENTS),
        ("Text/Event-Stream; charset=utf-8", True, EVENTS),
        ("application/x-ndjson", True, LINES),
        ("application/jsonlines; charset=utf-8", True, LINES),
        ("application/x-ndjson", False, None),
        ("application/json", True, None),
        ("", True, None),
    ],
)
def test_a_content_type_stands_for_a_form(content_type: str, takes_lines: bool, kind: str | None) -> None:
    assert declared(content_type, takes_lines) == kind


@pytest.mark.parametrize(
    ("content_type", "answer"),
    [("application/json; charset=utf-8", True), ("application/problem+json", True), ("text/html", False)],
)
def test_relatives_of_json_are_json(content_type: str, answer: bool) -> None:
    assert is_json(content_type) is answer


@pytest.mark.parametrize(
    ("head", "json_declared", "kind"),
    [
        (b"", False, None),
        (b" \n", True, None),
        (b"\xef\xbb", False, None),
        (b"dat", False, None),
        (b"data:", False, EVENTS),
        (b"event: x", False, EVENTS),
        (b": ping", False, EVENTS),
        (b"id:", True, EVENTS),
        (b"\xef\xbb\xbf\n retry: 1", False, EVENTS),
        (b"{", False, WHOLE),
        (b"\xef\xbb\xbf {", False, WHOLE),
        (b"[", False, WHOLE),
        (b'"', False, WHOLE),
        (b"null", True, WHOLE),
        (b"null", False, ""),
        (b"<html>", False, ""),
        (b"database", False, ""),
        (b"database", True, WHOLE),
    ],
)
def test_the_first_bytes_tell_the_form(head: bytes, json_declared: bool, kind: str | None) -> None:
    assert sniff(head, json_declared) == kind


def test_lines_are_split_at_newlines_alone_and_blank_ones_skipped() -> None:
    body = '{"a":"\u2028\u0085"}\r\n\n \n{"b":1}\n{"c":2}'.encode()
    expected = [b'{"a":"\xe2\x80\xa8\xc2\x85"}', b'{"b":1}', b'{"c":2}']
    for size in (1, 3, len(body)):
        lines = framing(LINES)
        read = [
            frame[1].rstrip() for k in range(0, len(body), size) for frame in lines.feed(body[k : k + size])
        ]
        left = lines.close()
        assert left is not None
        assert [*read, left[1]] == expected


@pytest.mark.parametrize("kind", [EVENTS, LINES, WHOLE])
def test_an_empty_body_leaves_nothing(kind: str) -> None:
    assert framing(kind).close() is None


@pytest.mark.parametrize(
    ("head", "so_far", "over"),
    [
        (b"id: 5\nis the answer", None, TEXT),
        (b"id: 5\nis the answer\n", TEXT, TEXT),
        (b"id: 5\r\n\r\nis", None, TEXT),
        (b"data: word", None, EVENTS),
        (b"data: word\n\n", EVENTS, EVENTS),
        (b"\xef\xbb\xbfid: 5\rdata: word\r\r", EVENTS, EVENTS),
        (b'data: {\n "a": 1', EVENTS, EVENTS),
        (b"data: is plural\nof datum\n", TEXT, TEXT),
        (b": ping\n\n", EVENTS, EVENTS),
        (b":) hello", None, TEXT),
    ],
)
def test_lines_tell_events_from_text(head: bytes, so_far: str | None, over: str) -> None:
    assert (events_or_text(head), events_or_text(head, over=True)) == (so_far, over)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b'{"a": 1}', None),
        (b'{"a": 1}\n', None),
        (b'{"a": 1}\n{', LINES),
        (b'{"a": 1}\n\nis JSON', TEXT),
        (b"{\n1", None),
    ],
)
def test_lines_of_json_go_on_with_json(head: bytes, kind: str | None) -> None:
    assert lines_or_text(head) == kind


@pytest.mark.parametrize(
    ("head", "page"),
    [
        (b"\xef\xbb\xbf\n<!DOCTYPE HTML>", True),
        (b"<html", True),
        (b"<htm", None),
        (b"<!", None),
        (b"<p>", False),
        (b"a < b", False),
    ],
)
def test_a_page_is_known_by_its_beginning(head: bytes, page: bool | None) -> None:
    assert may_be_page(head) is page

"""Telling the form of a body by its type and its first bytes."""

from __future__ import annotations

import pytest

from pytest_llmserve.dialects.framing import EVENTS, LINES, WHOLE, declared, framing, is_json, sniff


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

"""A request for httpx is the one that sockets would send."""

import asyncio

import httpx
import pytest

from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.target import Target
from pytest_llmserve.load.connection import User
from pytest_llmserve.load.flight import Flight, step_of
from pytest_llmserve.load.http import request_bytes
from pytest_llmserve.load.httpx_exchange import Exchange, parsed, stays_open


def test_a_request_is_taken_apart_as_it_was_put_together():
    """Bytes in the body, colons and odd letters in a header, an escaped path: all as they are."""
    headers = (("X-Trace", "a: b"), ("X-Name", "Zoë"), ("Content-Type", "application/json"))
    target = Target(scheme="http", host="::1", port=8000, headers=headers)
    body = b'{"a": "\r\n\r\nContent-Length: 3"}'
    raw = request_bytes(target, HttpRequest("POST", "/v1/caf%C3%A9?x=1&y", body))
    method, path, sent, found = parsed(raw)
    assert (method, path, found) == ("POST", b"/v1/caf%C3%A9?x=1&y", body)
    assert sent == [
        (b"Host", b"[::1]:8000"),
        (b"User-Agent", b"pytest-llmserve"),
        (b"Connection", b"keep-alive"),
        (b"X-Trace", b"a: b"),
        (b"X-Name", "Zoë".encode("latin-1")),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
    ]
    assert httpx.URL("http://[::1]:8000").copy_with(raw_path=path).raw_path == path


@pytest.mark.parametrize(
    ("version", "headers", "stays"),
    [
        (b"HTTP/1.1", {"content-length": "3"}, True),
        (b"HTTP/1.1", {"transfer-encoding": "chunked"}, True),
        (b"HTTP/1.1", {"content-length": "3", "connection": "Close"}, False),
        (b"HTTP/1.1", {}, False),
        (b"HTTP/1.0", {"content-length": "3"}, False),
        (b"HTTP/1.0", {"content-length": "3", "connection": "keep-alive"}, True),
        (b"HTTP/2", {}, True),
    ],
)
def test_whether_a_connection_stays_open(version, headers, stays):
    assert stays_open(httpx.Response(200, headers=headers, extensions={"http_version": version})) == stays


def test_what_is_answered_before_it_was_sent_in_full_counts_as_sent_when_it_began():
    """The server closed for writing: httpx goes on to read, and tells no end of the sending."""
    target = Target(scheme="http", host="127.0.0.1", port=8000)
    flight = Flight(0, request_bytes(target, HttpRequest("POST", "/", b"x" * 100_000)), 0, None, False)
    begun = []
    exchange = Exchange(User(0), flight, lambda _, now_ns: begun.append(now_ns), lambda _, now_ns: None)
    request = exchange.request(httpx.URL("http://127.0.0.1:8000"))
    for event in ("send_request_headers.started", "receive_response_headers.complete"):
        asyncio.run(request.extensions["trace"](f"http11.{event}", {"request": request}))
    step = step_of(flight, exchange.answer, 1 << 62)
    assert [step.sent_ns] == begun
    assert step.sent_ns <= step.first_byte_ns

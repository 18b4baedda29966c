"""HTTP/1.1 as the simulator reads it: however it is cut, and a reason where it cannot be read."""

from __future__ import annotations

import pytest

from pytest_llmserve.simulator import wire

COUNTED = b"POST /v1/completions?key=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + (
    b"3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)
PLAIN = b"\r\nGET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"


def read(data, step):
    """All requests of a connection whose bytes come in pieces of `step`."""
    reader, found = wire.RequestReader(), []
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
        while (request := reader.next(7)) is not None:
            found.append(request)
    assert not reader.begun
    return found


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_requests_are_read_however_their_bytes_are_cut(step):
    """Bodies with a length, in chunks and none, one behind the other; an empty line before one is skipped."""
    first, second, third = read(COUNTED + CHUNKED + PLAIN, step)
    assert (first.method, first.path, first.body) == ("POST", "/v1/completions", b"hello")
    assert (first.headers["host"], first.received_ns, first.stays) == ("a", 7, True)
    assert (second.path, second.body) == ("/x", b"hello")
    assert (third.method, third.version, third.stays) == ("GET", 0, True)


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"hello\r\n\r\n", 400, "the first line is not 'METHOD PATH HTTP/1.1'"),
        (b"GET / HTTP/2.0\r\n\r\n", 400, "the first line is not 'METHOD PATH HTTP/1.1'"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "a header is not 'Name: value'"),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded: c\r\n\r\n", 400, "a header is not 'Name: value'"),
        (b"POST / HTTP/1.1\r\n\r\n", 411, "Content-Length is missing"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "Content-Length is not a number of bytes"),
        (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400, "Content-Length is not a number of bytes"),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n",
            400,
            "two different content-length headers",
        ),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "both Content-Length and Transfer-Encoding",
        ),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "the only Transfer-Encoding is chunked"),
        (b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", 413, "the body of 9 bytes is over the limit of 8"),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n",
            413,
            "the body is over the limit of 8 bytes",
        ),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            400,
            "the size of a chunk is not a hexadecimal number",
        ),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            400,
            "a chunk is longer than its size",
        ),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000, 431, "the headers are longer than 65536 bytes"),
    ],
)
def test_what_is_no_request_is_refused_with_a_reason(data, status, message):
    """Each fault has its status and its words."""
    reader = wire.RequestReader(most_body_bytes=8)
    reader.feed(data)
    with pytest.raises(wire.BadRequest) as caught:
        reader.next(0)
    assert (caught.value.status, str(caught.value)) == (status, message)


def test_a_client_that_waits_for_a_word_gets_it_once():
    """Expect: 100-continue, as curl sends it before a large body."""
    reader = wire.RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert reader.next(0) is None
    assert (reader.wants_continue(), reader.wants_continue()) == (True, False)


def test_halves_of_surrogate_pairs_stay_readable_json():
    """What a client sends as an escape can be told in an error: the body stays UTF-8."""
    assert wire.as_json({"é": "\ud800"}) == '{"é": "\\ud800"}'.encode()

"""The forms HTTP allows for one answer, and some it does not, over real sockets."""

import gzip
import json
import time
import zlib

import pytest

BODY = b'{"choices": [{"message": {"content": "hello"}}], "usage": {"completion_tokens": 1}}'
KIND = b"Content-Type: application/json\r\n"
SIZED = b"HTTP/1.1 200 OK\r\n" + KIND + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\n" + KIND + b"Transfer-Encoding: chunked\r\n\r\n"
PIECES = b"5;name=x\r\n" + BODY[:5] + b"\r\n%X\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n"
EARLY = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
KIB = 1024


@pytest.fixture
def answering(raw_server):
    """``answering(answer)`` -> a server that gives these bytes to every request; `close` = and leaves."""

    def start(answer, close=False, piece_bytes=None):
        def handle(peer, number):
            while raw_server.read_request(peer):
                size = piece_bytes or len(answer)
                for begin in range(0, len(answer), size):
                    peer.sendall(answer[begin : begin + size])
                    if piece_bytes:
                        time.sleep(0.0002)
                if close:
                    return

        return raw_server(handle)

    return start


def packed(data, coding):
    head = b"HTTP/1.1 200 OK\r\n" + KIND + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (coding, len(data)) + data


WHOLE = {
    "sized": SIZED,
    "chunked": CHUNKED + PIECES + b"0\r\n\r\n",
    "chunked with trailers": CHUNKED + PIECES + b"0\r\nServer-Timing: total;dur=3\r\nX-Sum: 1\r\n\r\n",
    "after 100 and 103": EARLY + SIZED,
    "chunked after 100 and 103": EARLY + CHUNKED + PIECES + b"0\r\n\r\n",
    "no blank after a colon": SIZED.replace(b"Length: ", b"Length:"),
    "header names in capitals": SIZED.replace(b"Content-Length", b"CONTENT-LENGTH"),
    "no reason phrase": SIZED.replace(b"200 OK", b"200 "),
    "a long header": SIZED.replace(b"\r\n\r\n", b"\r\nX-Long: " + b"x" * 40 * KIB + b"\r\n\r\n", 1),
    "gzip": packed(gzip.compress(BODY), b"gzip"),
    "deflate, then gzip": packed(gzip.compress(zlib.compress(BODY)), b"deflate, gzip"),
}


@pytest.mark.parametrize("piece_bytes", [None, 1], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("form", WHOLE)
def test_a_whole_answer_is_read_and_its_connection_kept(answering, load, form, piece_bytes):
    """Whatever the packets hold."""
    if piece_bytes and len(WHOLE[form]) > 4 * KIB:
        piece_bytes = KIB
    server = answering(WHOLE[form], piece_bytes=piece_bytes)
    result = load(server.url, users=1, requests=3)
    assert [(r.outcome, r.text, r.output_tokens) for r in result.requests] == [("ok", "hello", 1)] * 3
    assert (server.connections, result.generator.reopened) == (1, 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + KIND + b"\r\n" + BODY,
        b"HTTP/1.0 200 OK\r\n" + KIND + b"\r\n" + BODY,
        SIZED.replace(b"\r\n", b"\r\nConnection: close\r\n", 1),
        SIZED.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["no length", "HTTP/1.0 without length", "Connection: close", "HTTP/1.0"],
)
def test_an_answer_that_ends_its_connection_is_whole(answering, load, answer):
    """The next request takes a new one, and that is no failure."""
    server = answering(answer, close=True)
    result = load(server.url, users=1, requests=3)
    assert [(r.outcome, r.text) for r in result.requests] == [("ok", "hello")] * 3
    assert server.connections == 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_names_the_place(answering, load, raw_server, status):
    """Following it would measure another server, and send the key there."""
    asked = []

    def handle(peer, number):
        while raw_server.read_request(peer):
            asked.append(number)
            peer.sendall(SIZED)

    other = raw_server(handle)
    head = f"HTTP/1.1 {status} Moved\r\nLocation: {other.url}/v1\r\nContent-Length: 0\r\n\r\n"
    server = answering(head.encode())
    result = load(server.url, users=1, requests=2)
    expected = f"redirect {status} to {other.url}/v1: give the final URL as the endpoint"
    assert {(r.outcome, r.status, r.error) for r in result.requests} == {("malformed", status, expected)}
    assert (asked, server.connections) == ([], 1)


def test_a_204_is_an_empty_answer(answering, load):
    (record,) = load(answering(b"HTTP/1.1 204 No Content\r\n\r\n").url, users=1, requests=1).requests
    assert (record.outcome, record.status) == ("malformed", 204)


BROKEN = {
    "two lengths": SIZED.replace(KIND, KIND + b"Content-Length: 5\r\n"),
    "length and chunks": CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n")
    + PIECES
    + b"0\r\n\r\n",
    "a length below 0": SIZED.replace(b"Length: ", b"Length: -"),
    "a chunk size that is none": CHUNKED + b"zz\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk that is longer than said": CHUNKED + b"5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a status that is none": SIZED.replace(b"200", b"2x0"),
    "no colon": SIZED.replace(b"Content-Length:", b"Content-Length"),
}


@pytest.mark.parametrize("form", BROKEN)
def test_an_answer_http_forbids_is_malformed(answering, load, form):
    """Shown with its bytes, and the connection is given up."""
    server = answering(BROKEN[form])
    result = load(server.url, users=1, requests=2)
    assert [r.outcome for r in result.requests] == ["malformed", "malformed"]
    assert all(r.error.startswith("not HTTP: ") for r in result.requests), result.requests[0].error
    assert server.connections == 2


@pytest.mark.parametrize(
    "endless",
    [b"X-More: " + b"x" * 1000 + b"\r\n", b"x" * 1000],
    ids=["headers without end", "a header without end"],
)
def test_a_header_without_end_is_malformed_and_does_not_fill_memory(raw_server, load, endless):
    """64 KiB are enough for any header; the answer ends long before its time limit."""
    sent = []

    def handle(peer, number):
        raw_server.read_request(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nX-First: ")
        for _ in range(20_000):
            peer.sendall(endless)
            sent.append(len(endless))

    (record,) = load(raw_server(handle).url, users=1, requests=1, timeout_ns=20_000_000_000).requests
    assert (record.outcome, record.error) == ("malformed", "the header of the answer is longer than 64 KiB")
    assert sum(sent) < 8 * KIB * KIB


def test_a_bomb_is_malformed(answering, load):
    """A small body that unpacks to a large one."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * KIB * KIB
    data = b"".join(packer.compress(block) for _ in range(65)) + packer.flush()
    (record,) = load(answering(packed(data, b"gzip")).url, users=1, requests=1).requests
    expected = ("malformed", "the gzip body unpacks to more than 64 MiB: no answer is so long")
    assert (record.outcome, record.error) == expected


def test_a_body_packed_with_brotli_is_read(answering, load):
    """Where its package is installed; the tests of unpacking say what is told where it is not."""
    brotli = pytest.importorskip("brotli")
    events = b"data: " + json.dumps({"choices": [{"delta": {"content": "hi"}}]}).encode() + b"\n\n"
    data = brotli.compress(events + b"data: [DONE]\n\n")
    answer = packed(data, b"br").replace(b"application/json", b"text/event-stream")
    (record,) = load(answering(answer).url, users=1, requests=1).requests
    assert (record.outcome, record.text) == ("ok", "hi")

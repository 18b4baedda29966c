"""HTTP/1.1 without a socket: requests to bytes, answers from bytes cut anywhere."""

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import CLOSED_EARLY, COMPLETE, NOT_HTTP, HttpRequest
from pytest_llmserve.domain.target import Target
from pytest_llmserve.load.http import Answer, request_bytes

TARGET = Target(scheme="http", host="h", port=8000, headers=(("x-key", "secret"), ("accept", "a/b")))

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"6\r\ndata: \r\n5;x=y\r\nabc\n\n\r\n0\r\n\r\n"
)
TRAILERS = CHUNKED[:-2] + b"X-Usage: 7\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\ndata: abc\n\n"
EARLY = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SIZED
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\n\r\ndata: abc\n\n"
OLD = b"HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\ndata: abc\n\n"
BODY = b"data: abc\n\n"


def fed(*parts):
    answer = Answer()
    for stamp_ns, part in enumerate(parts, 1):
        answer.feed(stamp_ns, part)
    return answer


def test_request_bytes():
    """Host, length and the target's headers are added; the target's win, by name in any case."""
    request = HttpRequest("POST", "/v1/x", b'{"a":1}', (("Content-Type", "t"), ("Accept", "c/d")))
    assert request_bytes(TARGET, request) == (
        b"POST /v1/x HTTP/1.1\r\nHost: h:8000\r\nUser-Agent: pytest-llmserve\r\nConnection: keep-alive\r\n"
        b'Content-Type: t\r\nAccept: a/b\r\nx-key: secret\r\nContent-Length: 7\r\n\r\n{"a":1}'
    )


def test_request_without_a_body_has_length_0():
    target = Target(scheme="https", host="::1", port=443)
    assert request_bytes(target, HttpRequest("GET", "/")).endswith(b"Content-Length: 0\r\n\r\n")
    assert b"\r\nHost: [::1]\r\n" in request_bytes(target, HttpRequest("GET", "/"))


def test_a_header_http_cannot_carry_is_named_without_its_value():
    target = Target(scheme="http", host="h", port=80, headers=(("x-key", "s€cret"),))
    with pytest.raises(SetupError) as caught:
        request_bytes(target, HttpRequest("GET", "/"))
    assert str(caught.value) == (
        "header 'x-key' holds a character that HTTP cannot carry (ordinal not in range(256))"
    )


def test_a_path_goes_as_the_opening_sends_it():
    """Percent-encoded: a load must not fail where the opening passed."""
    assert request_bytes(TARGET, HttpRequest("GET", "/my app/€")).startswith(
        b"GET /my%20app/%E2%82%AC HTTP/1.1"
    )


def test_a_path_http_cannot_carry_is_the_users_fault():
    """No line break: what follows it would be a header."""
    with pytest.raises(SetupError) as caught:
        request_bytes(TARGET, HttpRequest("GET", "/x HTTP/1.1\r\nX-Key: k"))
    assert str(caught.value) == (
        r"path '/x HTTP/1.1\r\nX-Key: k' is not allowed in a URL: it holds a control character"
    )


@pytest.mark.parametrize(
    ("raw", "keeps"),
    [(CHUNKED, True), (TRAILERS, True), (SIZED, True), (EARLY, True), (CLOSING, False), (OLD, False)],
    ids=["chunked", "trailers", "sized", "1xx", "closing", "http/1.0"],
)
def test_answers_cut_at_every_byte(raw, keeps):
    """Wherever the bytes are cut: the same body, complete at the last byte and not before."""
    for cut in range(1, len(raw)):
        answer = fed(raw[:cut])
        assert answer.ending() is None, cut
        answer.feed(2, raw[cut:])
        assert answer.ending().how == COMPLETE, cut
        assert (answer.status, b"".join(answer.pieces), answer.keep_alive) == (200, BODY, keeps), cut
        assert answer.first_byte_ns == 1
        assert len(answer.stamps) == len(answer.pieces)


def test_pieces_carry_the_stamp_of_their_read():
    head, first, second = SIZED[:-11], BODY[:4], BODY[4:]
    answer = fed(head, first, second)
    assert (answer.stamps, answer.pieces) == ([2, 3], [first, second])


def test_headers_are_lower_case_and_those_of_1xx_are_gone():
    assert fed(EARLY).headers == [("content-length", "11")]
    assert ("x-usage", "7") in fed(TRAILERS).headers


@pytest.mark.parametrize("cut", range(len(SIZED) - 1))
def test_closed_before_the_end_is_early(cut):
    """A connection closed at any byte before the last is no complete answer."""
    ending = fed(*([SIZED[:cut]] if cut else [])).closed()
    assert (ending.how, ending.detail) == (CLOSED_EARLY, "the server closed the connection")


def test_a_body_without_length_ends_with_the_connection():
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: abc\n\n"
    answer = fed(raw)
    assert answer.ending() is None
    assert answer.closed().how == COMPLETE
    assert b"".join(answer.pieces) == BODY
    assert not answer.keep_alive


def test_closed_after_a_1xx_is_early():
    assert fed(b"HTTP/1.1 100 Continue\r\n\r\n").closed().how == CLOSED_EARLY


@pytest.mark.parametrize(
    "behind", [b"junk", SIZED, b"HTTP/1.1 500 No\r\nX: y\r\nContent-Length: 2\r\n\r\nno"]
)
def test_bytes_behind_an_answer_end_the_connection_not_the_answer(behind):
    """A second answer never mixes with the first."""
    answer = fed(CHUNKED + behind)
    assert answer.ending().how == COMPLETE
    assert (answer.status, b"".join(answer.pieces), answer.keep_alive) == (200, BODY, False)
    assert ("x", "y") not in answer.headers


def test_what_is_not_http_is_shown():
    answer = fed(b"SSH-2.0-OpenSSH_9.6\r\n")
    ending = answer.ending()
    assert ending.how == NOT_HTTP
    assert ending.detail.startswith("not HTTP: ")
    assert ending.detail.endswith("at b'SSH-2.0-OpenSSH_9.6\\r\\n'")
    assert answer.closed() == ending


def test_a_header_is_64_kib_at_most():
    """The parser takes any length; a whole header that one read brings beyond it is read all the same."""
    start = b"HTTP/1.1 200 OK\r\nX: "
    allowed = fed(start, b"x" * (65_536 - len(start)))
    assert (allowed.ending(), allowed.over) == (None, False)
    allowed.feed(3, b"\r\nContent-Length: 11\r\n\r\ndata: abc\n\n")
    assert allowed.ending().how == COMPLETE
    for answer in (fed(start, b"x" * (65_537 - len(start))), fed(*[EARLY[:25]] * 4000)):
        assert (answer.ending().how, answer.over) == (NOT_HTTP, True)
        assert answer.ending().detail == "the header of the answer is longer than 64 KiB"


def test_a_long_body_is_no_long_header():
    """Only what comes before the status is known counts."""
    head = SIZED[:-11].replace(b": 11", b": 200000")
    assert fed(head, b"x" * 100_000, b"x" * 100_000).ending().how == COMPLETE


def test_a_bad_chunk_size_is_not_http():
    assert fed(CHUNKED.replace(b"5;x=y", b"zz")).ending().how == NOT_HTTP


def test_switching_protocols_is_not_an_answer():
    raw = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x00\x01"
    ending = fed(raw).ending()
    assert (ending.how, ending.detail) == (NOT_HTTP, "the server switched protocols (101)")


def test_a_204_is_complete_without_a_body():
    answer = fed(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (answer.ending().how, answer.pieces, answer.keep_alive) == (COMPLETE, [], True)


def test_release_frees_without_the_collector():
    """Parser and answer hold each other until released; the collector is off while load runs."""
    import gc
    import weakref

    class Watched(Answer):
        __slots__ = ("__weakref__",)

    gc.collect()
    gc.disable()
    try:
        answer = Watched()
        answer.feed(1, SIZED)
        answer.release()
        alive = weakref.ref(answer)
        del answer
        assert alive() is None
    finally:
        gc.enable()

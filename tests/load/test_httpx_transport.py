"""What is the httpx transport's own; the same promises over both are in test_engine_*."""

import statistics
import time

import pytest

from pytest_llmserve.domain.marks import nonce

MS = 1_000_000

pytestmark = pytest.mark.parametrize("transport", ["httpx"], indirect=True)


def test_stamps_agree_with_the_servers_log(mock_server, load):
    """User-space stamps: never before their cause, and under a small load soon after it."""
    server = mock_server("--ttft-ms", 30, "--itl-ms", 10, "--tokens", 5)
    result = load(server.url, users=2, requests=12)
    rows = {row["nonce"]: row for row in server.log_rows(12)}
    health = result.generator
    assert (len(result.ok), health.clock, health.transport, health.protocols) == (
        12,
        "user",
        "httpx",
        ["HTTP/1.1"],
    )
    late = []
    for record in result.requests:
        row = rows[nonce("5eed0000", record.id)]
        assert record.sent_ns < row["received_ns"] + 1 * MS
        assert record.first_byte_ns <= record.first_token_ns <= record.last_token_ns <= record.end_ns
        gaps = [seen - wrote for seen, wrote in zip(record.token_ns, row["token_ns"], strict=True)]
        assert min(gaps) > 0
        late += gaps
    assert statistics.median(late) < 15 * MS
    assert {"p50", "p99", "max"} == set(health.send_lag_ms) == set(health.receive_lag_ms)


def test_both_transports_tell_the_same_of_a_server(mock_server, load):
    """Every third request fails: outcomes, statuses, texts and tokens in the same order."""
    options = ("--fail-status", 503, "--fail-every", 3, "--ttft-ms", 1, "--itl-ms", 1, "--tokens", 6)

    def told(transport):
        result = load(mock_server(*options).url, users=1, requests=9, transport=transport, seed=7)
        return [
            (r.id, r.outcome, r.status, r.error, r.text, r.output_tokens, r.tokens_from, r.finish_reason)
            for r in result.requests
        ]

    assert told("httpx") == told("sockets")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_answer_is_unpacked_once(raw_server, load, encoding):
    """httpx hands the bytes over as they came: the dialect unpacks, as over sockets."""
    import zlib

    body = b'{"choices": [{"message": {"content": "hi"}}], "usage": {"completion_tokens": 1}}'
    packer = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    packed = packer.compress(body) + packer.flush()
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"

    def handle(peer, number):
        raw_server.read_request(peer)
        peer.sendall(head % (encoding.encode(), len(packed)) + packed)

    (record,) = load(raw_server(handle).url, users=1, requests=1).requests
    assert (record.outcome, record.text) == ("ok", "hi")


def test_cookies_and_redirects_are_not_followed(raw_server, load):
    """The record is of the request that was sent, and each is as the first."""
    asked = []

    def handle(peer, number):
        while request := raw_server.read_request(peer):
            asked.append(request.split(b"\r\n\r\n")[0].lower())
            peer.sendall(
                b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
            )

    result = load(raw_server(handle).url, users=1, requests=2)
    assert [r.status for r in result.requests] == [302, 302]
    assert len(asked) == 2
    assert not any(b"cookie" in head for head in asked)


def test_what_is_not_http_is_malformed(raw_server, load):
    def handle(peer, number):
        raw_server.read_request(peer)
        peer.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

    (record,) = load(raw_server(handle).url, users=1, requests=1).requests
    assert record.outcome == "malformed"
    assert record.error.startswith("not HTTP: ")


def test_a_close_that_crosses_the_request_is_no_failure(raw_server, load, monkeypatch):
    """The kept connection is closed just as the next request arrives: sent again, once, on a fresh one."""
    from pytest_llmserve.load import engine

    patient = (
        "from pytest_llmserve.load import httpx_transport; httpx_transport._CROSSING_NS = 10**10; main()"
    )
    monkeypatch.setattr(engine, "_WORKER", engine._WORKER.removesuffix("main()") + patient)
    body = b'{"choices": [{"message": {"content": "hi"}}]}'

    def handle(peer, number):
        raw_server.read_request(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        raw_server.read_request(peer)  # and close, without a word

    result = load(raw_server(handle).url, users=1, requests=5)
    assert (len(result.ok), result.error_rate) == (5, 0.0)
    assert (result.generator.reopened, result.generator.resent) == (4, 4)


def test_a_user_given_up_leaves_the_others_alone(mock_server, load):
    """A time limit closes one connection, not the worker's others."""
    server = mock_server("--slow-every", 4, "--slow-ms", 3000, "--ttft-ms", 5, "--itl-ms", 1, "--tokens", 2)
    result = load(server.url, users=3, requests=12, timeout_ns=1000 * MS)
    assert result.by_outcome == {"ok": 9, "timed_out": 3}
    assert len([row for row in server.log_rows(12) if row["client_gone"]]) == 3


def test_the_limit_counts_from_the_last_byte_sent(raw_server, load):
    """A large prompt that the server takes slowly leaves its answer all of its time."""
    body = b'{"choices": [{"message": {"content": "hi"}}]}'

    def handle(peer, number):
        time.sleep(0.7)
        raw_server.read_request(peer)
        time.sleep(0.7)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    url = raw_server(handle).url
    (record,) = load(url, ["x" * 20_000_000], users=1, requests=1, timeout_ns=1200 * MS).requests
    assert record.outcome == "ok"
    assert 600 < record.e2e_ms < 1200


def test_a_request_that_is_never_read_times_out(raw_server, load):
    """The limit holds while it is being sent, too."""
    url = raw_server(lambda peer, number: time.sleep(3)).url
    (record,) = load(url, ["x" * 20_000_000], users=1, requests=1, timeout_ns=500 * MS).requests
    assert (record.outcome, record.error, record.sent_ns) == (
        "timed_out",
        "no full answer within 500 ms",
        None,
    )

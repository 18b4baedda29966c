"""Every planted fault of a server becomes the outcome of its requests, and never an error of ours."""

import contextlib
import os
import re
import signal
import socket
import struct
import time

import pytest

from pytest_llmserve.load import engine

MS = 1_000_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
BODY = b'{"choices": [{"message": {"content": "hi"}}], "usage": {"completion_tokens": 1}}'
ANSWER = HEAD % len(BODY) + BODY
both = pytest.mark.parametrize("transport", ["sockets", "httpx"], indirect=True)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def break_off(peer):
    """Close with a reset instead of an end."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def one(result):
    (record,) = result.requests
    return record.outcome, record.error


@both
def test_a_server_that_is_not_there_or_goes_away_ends_the_load_after_some_seconds(
    mock_server, new_run, transport, request
):
    """No thousands of failures a second, no wait for the end of the plan, and no sample to judge by.

    One that is killed in mid-run: what was answered stays, the rest is reset or refused, or cut off. The two
    loads run side by side, as each takes all the patience there is: over sockets the 5 s of every load.
    """
    patience_s = 5 if transport == "sockets" else 1
    if patience_s == 1:
        request.getfixturevalue("soon_given_up")
    server = mock_server("--die-after", 10, "--ttft-ms", 30, "--tokens", 3)
    began = time.monotonic()
    absent = new_run(f"http://127.0.0.1:{free_port()}", users=3, duration_ns=60_000 * MS)
    killed = new_run(server.url, users=4, duration_ns=60_000 * MS)
    for run in (absent, killed):
        run.start()
    absent.wait()
    assert 0.8 * patience_s < time.monotonic() - began < 10 + patience_s
    killed.wait()
    assert time.monotonic() - began < 20
    nowhere_to_send(absent.result(), patience_s)
    result = killed.result()
    assert 8 <= len(result.ok) <= 12
    assert set(result.by_outcome) <= {"ok", "reset", "refused", "cut_off"}
    assert result.by_outcome["refused"] >= 4
    assert result.generator.ended.startswith("gave up: from ")


def nowhere_to_send(result, patience_s):
    assert 2 * patience_s - 1 <= len(result.requests) <= 45
    assert {(r.outcome, r.error, r.sent_ns) for r in result.requests} == {
        ("refused", "Connection refused", None)
    }
    ended = rf"gave up: from [\d.]+ m?s on, no connection for {patience_s} s \(Connection refused\)"
    assert re.fullmatch(ended, result.generator.ended)
    assert result.generator.ended == f"gave up: {result.generator.server_gone}"
    assert result.generator.server_gone_ns in {r.end_ns for r in result.requests}
    assert result.ttft_ms.p50 == float("inf")


@both
def test_a_hanging_server_times_out(mock_server, load):
    server = mock_server("--hang")
    result = load(server.url, users=2, requests=4, timeout_ns=400 * MS)
    assert {(r.outcome, r.error) for r in result.requests} == {("timed_out", "no full answer within 400 ms")}
    assert all(400 <= r.e2e_ms < 2000 for r in result.requests)


@both
def test_a_server_that_hangs_within_its_answer_times_out(mock_server, load):
    server = mock_server("--hang-after-headers")
    (record,) = load(server.url, users=1, requests=1, timeout_ns=400 * MS).requests
    assert (record.outcome, record.status) == ("timed_out", 200)


@both
def test_the_limit_counts_from_each_request(mock_server, load):
    """Not from the first on its connection."""
    server = mock_server("--ttft-ms", 400, "--tokens", 1)
    assert load(server.url, users=1, requests=3, timeout_ns=900 * MS).error_rate == 0.0


@both
def test_the_limit_counts_from_each_try(raw_server, load):
    """Not from an earlier one of the same request on the same connection."""

    def handle(peer, number):
        for answer in (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", ANSWER):
            raw_server.read_request(peer)
            time.sleep(0.6)
            peer.sendall(answer)

    server = raw_server(handle)
    result = load(server.url, users=1, requests=1, retries=1, timeout_ns=1000 * MS)
    assert [(r.outcome, r.attempt) for r in result.requests] == [("http_5xx", 1), ("ok", 2)]
    assert server.connections == 1


@both
def test_a_connection_that_is_never_taken_times_out(load):
    """A full backlog: the handshake of TCP is not answered."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            peer = stack.enter_context(socket.socket())
            peer.setblocking(False)
            peer.connect_ex(full.getsockname())
        url = "http://127.0.0.1:%d" % full.getsockname()[1]
        result = load(url, users=1, requests=1, connect_timeout_ns=400 * MS)
    assert one(result) == ("refused", "no connection within 400 ms")


@pytest.mark.parametrize("framing", ["chunked", "content-length"])
@both
def test_a_truncated_answer_is_cut_off(mock_server, load, framing):
    server = mock_server("--truncate-after", 2, "--framing", framing)
    (record,) = load(server.url, users=1, requests=1).requests
    assert (record.outcome, len(record.token_ns), record.text) == ("cut_off", 2, "red green ")


@both
def test_an_error_inside_the_stream(mock_server, load):
    server = mock_server("--error-in-stream", 2)
    (record,) = load(server.url, users=1, requests=1).requests
    assert (record.outcome, record.status) == ("server_error_in_stream", 200)
    assert "planted error in the stream" in record.error


@both
def test_error_statuses(mock_server, load):
    server = mock_server("--fail-status", 503, "--fail-every", 3)
    result = load(server.url, users=1, requests=6)
    assert [r.status for r in result.requests] == [200, 200, 503] * 2
    assert result.by_outcome == {"ok": 4, "http_5xx": 2}
    assert result.failed[0].error == "503: planted failure"


@both
def test_an_empty_answer_is_malformed(mock_server, load):
    server = mock_server("--empty-answer")
    (record,) = load(server.url, users=1, requests=1).requests
    assert (record.outcome, record.text, record.token_ns) == ("malformed", "", ())


@both
def test_a_connection_closed_after_each_answer_is_no_failure(mock_server, load):
    server = mock_server("--close-after-answer", "--ttft-ms", 1, "--tokens", 1)
    result = load(server.url, users=2, requests=20)
    assert (len(result.ok), result.error_rate) == (20, 0.0)
    assert result.generator.reopened > 0


@both
def test_an_idle_connection_closed_by_the_server_is_no_failure(mock_server, load):
    server = mock_server("--close-idle-ms", 20, "--ttft-ms", 1, "--tokens", 1)
    result = load(server.url, users=2, requests=10, think_time_ns=(10 * MS, 60 * MS))
    assert (len(result.ok), result.error_rate) == (10, 0.0)
    assert result.generator.reopened > 0
    assert result.generator.resent < result.generator.reopened, "most were seen to be closed before a send"


def test_a_close_that_crosses_the_request_is_no_failure(raw_server, load, monkeypatch):
    """The kept connection is closed just as the next request arrives: sent again, once, on a fresh one."""
    patient = "from pytest_llmserve.load import connection; connection._CROSSING_NS = 10**10; main()"
    monkeypatch.setattr(engine, "_WORKER", engine._WORKER.removesuffix("main()") + patient)

    def handle(peer, number):
        raw_server.read_request(peer)
        peer.sendall(ANSWER)
        if raw_server.read_request(peer):
            break_off(peer)

    result = load(raw_server(handle).url, users=1, requests=5)
    assert (len(result.ok), result.error_rate) == (5, 0.0)
    assert (result.generator.reopened, result.generator.resent) == (4, 4)


@both
def test_a_kept_connection_broken_after_the_request_was_read_is_a_reset(raw_server, load):
    """The server had its time with the request: sending it again would hide a fault."""

    def handle(peer, number):
        raw_server.read_request(peer)
        peer.sendall(ANSWER)
        if raw_server.read_request(peer):
            time.sleep(0.4)
            break_off(peer)

    result = load(raw_server(handle).url, users=1, requests=4)
    assert [r.outcome for r in result.requests] == ["ok", "reset", "ok", "reset"]
    assert result.generator.reopened == 0


@pytest.mark.parametrize(
    ("leave", "error"),
    [(break_off, "Connection reset by peer"), (socket.socket.close, "the server closed the connection")],
)
@both
def test_a_fresh_connection_that_breaks_is_a_reset(raw_server, load, leave, error):
    def handle(peer, number):
        raw_server.read_request(peer)
        leave(peer)

    assert one(load(raw_server(handle).url, users=1, requests=1)) == ("reset", error)


def test_what_is_not_http_is_malformed(raw_server, load):
    def handle(peer, number):
        raw_server.read_request(peer)
        peer.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

    outcome, error = one(load(raw_server(handle).url, users=1, requests=1))
    assert outcome == "malformed"
    assert error.startswith("not HTTP: ")


def test_an_answer_before_the_request_was_read_stands(raw_server, load):
    """The server refuses by the length alone: its reason is kept, and the connection is not used again.

    It counts as sent when it began, so that it has a latency as any answer.
    """
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo large"

    def handle(peer, number):
        peer.recv(1000)
        peer.sendall(refusal)
        time.sleep(0.2)

    server = raw_server(handle)
    result = load(server.url, ["x" * 20_000_000], users=1, requests=2)
    assert [(r.outcome, r.status) for r in result.requests] == [("http_4xx", 413)] * 2
    assert all(r.scheduled_ns <= r.sent_ns <= r.first_byte_ns for r in result.requests)
    assert result.failed[0].error == "413: too large"
    assert server.connections == 2


@both
def test_an_answer_that_streams_before_the_request_is_whole(raw_server, load):
    """In many pieces, and the rest of the request is read after all: neither a stall nor a fault of ours."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    last = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'

    def chunk(data):
        return b"%x\r\n%b\r\n" % (len(data), data)

    def handle(peer, number):
        peer.sendall(head)
        for _ in range(8):
            peer.sendall(chunk(event))
            time.sleep(0.02)
        raw_server.read_request(peer)
        peer.sendall(chunk(event) + chunk(last) + b"0\r\n\r\n")
        peer.recv(1)

    result = load(raw_server(handle).url, ["x" * 20_000_000], users=1, requests=1, timeout_ns=20_000 * MS)
    assert result.by_outcome == {"ok": 1}
    assert len(result.ok[0].token_ns) == 9


def test_a_worker_that_was_held_up_accuses_no_server(raw_server, new_run):
    """Its limits have passed meanwhile, but the bytes were there in time: they are read first."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    event = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'
    last = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'

    def handle(peer, number):
        raw_server.read_request(peer)
        peer.sendall(head)
        for data in [event] * 30 + [last]:
            peer.sendall(b"%x\r\n%b\r\n" % (len(data), data))
            time.sleep(0.05)
        peer.sendall(b"0\r\n\r\n")
        peer.recv(1)

    run = new_run(raw_server(handle).url, users=1, requests=1, idle_timeout_ns=400 * MS)
    run.start()
    time.sleep(0.4)
    (worker,) = [w._process for w in run._workers]
    os.kill(worker.pid, signal.SIGSTOP)
    time.sleep(0.8)
    os.kill(worker.pid, signal.SIGCONT)
    run.wait()
    result = run.result()
    assert [(r.outcome, r.error) for r in result.requests] == [("ok", None)]
    assert result.generator.receive_lag_ms["max"] > 400, "and it says that it was"
    assert result.generator.merged_share > 0.1
    begin_ns, end_ns = result.generator.stalls_ns[0]
    assert result.start_ns < begin_ns < end_ns - 400 * MS, "and when"


@both
def test_an_answer_beside_a_reset_stands(raw_server, load):
    """The server answers and closes with most of the request unread, which resets the connection."""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo large"

    def handle(peer, number):
        peer.recv(1000)
        peer.sendall(refusal)
        peer.close()

    result = load(raw_server(handle).url, ["x" * 20_000_000], users=1, requests=3)
    assert {r.outcome for r in result.requests} <= {"http_4xx", "reset"}, "a reset may overtake the answer"
    assert result.generator.ended == "complete"


def test_bytes_behind_an_answer_do_not_become_the_next_one(raw_server, load):
    def handle(peer, number):
        while raw_server.read_request(peer):
            peer.sendall(ANSWER + b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    server = raw_server(handle)
    result = load(server.url, users=1, requests=4)
    assert (len(result.ok), server.connections) == (4, 4)


@both
def test_failed_requests_are_tried_again(mock_server, load):
    """Each try is a record; what a user with retries sees is the last one."""
    server = mock_server("--fail-first", 3)
    result = load(server.url, users=1, requests=4, retries=2)
    tries = [(r.id, r.attempt, r.outcome) for r in result.requests]
    assert tries == [
        (0, 1, "http_5xx"),
        (0, 2, "http_5xx"),
        (0, 3, "http_5xx"),
        (1, 1, "ok"),
        (2, 1, "ok"),
        (3, 1, "ok"),
    ]
    assert [(r.id, r.outcome) for r in result.judged] == [(0, "http_5xx"), (1, "ok"), (2, "ok"), (3, "ok")]
    again = load(server.url, users=2, requests=4, retries=2)
    assert [r.attempt for r in again.requests] == [1] * 4


def test_a_server_error_with_a_lone_surrogate_is_recorded(raw_server, load):
    body = b'{"error": {"message": "bad \\ud800 token"}}'

    def handle(peer, number):
        raw_server.read_request(peer)
        peer.sendall(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    outcome, error = one(load(raw_server(handle).url, users=1, requests=1))
    assert outcome == "http_5xx"
    assert "bad" in error

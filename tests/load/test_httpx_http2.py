"""HTTP/2 over TLS through httpx, against a server that speaks nothing else."""

import contextlib
import json
import socket
import ssl
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import pytest
import trustme

from pytest_llmserve.load import engine

MS = 1_000_000

pytestmark = pytest.mark.parametrize("transport", ["httpx"], indirect=True)


def event(value):
    return b"data: %b\n\n" % json.dumps(value).encode()


class Http2:
    """Answers chat completions with three tokens; from the second request of a connection on with a fault.

    A fault that begins with "first " is met by the first request too: "reset", "goaway", "close", "hang".
    """

    def __init__(self, tls, fault=""):
        self.tls, self.fault = tls, fault
        self.requests, self.bodies = [], []
        self.gone, self.gone_before = 0, []

    def __call__(self, raw, number):
        ended = contextlib.suppress(h2.exceptions.ProtocolError)  # what comes after our goaway
        with ended, self.tls.wrap_socket(raw, server_side=True) as peer:
            wire = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            wire.initiate_connection()
            peer.sendall(wire.data_to_send())
            asked, body, stays = 0, b"", True
            while stays and (data := peer.recv(65536)):
                for seen in wire.receive_data(data):
                    if isinstance(seen, h2.events.RequestReceived):
                        self.requests.append(dict(seen.headers))
                        self.gone_before.append(self.gone)
                    elif isinstance(seen, h2.events.DataReceived):
                        body += seen.data
                        wire.acknowledge_received_data(seen.flow_controlled_length, seen.stream_id)
                    elif isinstance(seen, h2.events.StreamEnded):
                        self.bodies.append(json.loads(body))
                        asked, body = asked + 1, b""
                        stays = self.answer(wire, peer, seen.stream_id, asked)
                peer.sendall(wire.data_to_send() if stays else b"")
        self.gone += 1

    def answer(self, wire, peer, stream, asked):
        begins = self.fault.startswith("first ") or asked > 1
        fault = self.fault.removeprefix("first ") if begins else ""
        if fault == "late close":
            time.sleep(0.4)
        if fault.endswith("close"):
            # What the client still sends, such as its word on our settings, must be read: left unread,
            # it turns the end of the connection into a reset.
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(65536):
                pass
            return False
        if fault == "reset":
            wire.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif fault == "goaway":
            wire.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        else:
            wire.send_headers(stream, [(":status", "200"), ("content-type", "text/event-stream")])
        if fault:
            return True
        for token in ("red ", "green ", "blue "):
            wire.send_data(stream, event({"choices": [{"index": 0, "delta": {"content": token}}]}))
            peer.sendall(wire.data_to_send())
        usage = {"choices": [], "usage": {"completion_tokens": 3}}
        wire.send_data(stream, event(usage) + b"data: [DONE]\n\n", end_stream=True)
        return True


@pytest.fixture
def http2(raw_server, monkeypatch, tmp_path):
    """``http2(fault)`` -> a server that `load` trusts; `.handle` is the `Http2`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    def start(fault=""):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        tls.set_alpn_protocols(["h2"])
        handle = Http2(tls, fault)
        server = raw_server(handle)
        server.url, server.handle = server.url.replace("http:", "https:"), handle
        return server

    return start


def test_answers_come_over_http2(http2, load):
    """Records as over HTTP/1.1, with the version told; one connection a user."""
    server = http2()
    result = load(server.url, users=3, requests=12)
    assert (len(result.ok), server.connections) == (12, 3)
    assert {(r.text, r.output_tokens, r.tokens_from) for r in result.requests} == {
        ("red green blue ", 3, "usage")
    }
    for record in result.requests:
        assert record.scheduled_ns <= record.sent_ns <= record.first_byte_ns
        assert record.first_byte_ns <= record.first_token_ns <= record.last_token_ns <= record.end_ns
    health = result.generator
    assert (health.transport, health.protocols, health.clock) == ("httpx", ["HTTP/2"], "user")
    assert health.reopened == 0


def test_what_only_http1_knows_is_not_sent(http2, load):
    """No Connection header, which HTTP/2 forbids; the rest is the request that sockets send."""
    server = http2()
    load(server.url, users=1, requests=1)
    (asked,) = server.handle.requests
    assert asked[b":path"] == b"/v1/chat/completions"
    assert asked[b":authority"] == server.url.removeprefix("https://").encode()
    assert asked[b"user-agent"] == b"pytest-llmserve"
    assert not {b"connection", b"host", b"transfer-encoding"} & set(asked)


def test_a_large_prompt_passes_the_windows_of_http2(http2, load):
    """Larger than a stream's window of 64 KB; sent only when the server has taken all of it."""
    server = http2()
    result = load(server.url, ["x" * 1_000_000], users=1, requests=2)
    assert result.error_rate == 0.0
    assert {len(body["messages"][0]["content"]) for body in server.handle.bodies} == {1_000_011}


def test_a_reset_stream_is_a_reset(http2, load):
    (record,) = load(http2("first reset").url, users=1, requests=1).requests
    assert record.outcome == "reset"
    assert record.error.startswith("the server reset the HTTP/2 stream (")


def test_a_connection_ended_by_goaway_is_a_reset(http2, load):
    (record,) = load(http2("first goaway").url, users=1, requests=1).requests
    assert record.outcome == "reset"
    assert record.error.startswith("the server ended the HTTP/2 connection (")


def test_a_fresh_connection_that_closes_is_a_reset(http2, load):
    (record,) = load(http2("first close").url, users=1, requests=1).requests
    assert (record.outcome, record.error) == ("reset", "the server closed the connection")


@pytest.mark.parametrize("fault", ["close", "goaway"])
def test_a_kept_connection_that_closes_under_a_request_is_no_failure(http2, load, fault, monkeypatch):
    """Sent again, once, on a fresh connection."""
    patient = (
        "from pytest_llmserve.load import httpx_transport; httpx_transport._CROSSING_NS = 10**10; main()"
    )
    monkeypatch.setattr(engine, "_WORKER", engine._WORKER.removesuffix("main()") + patient)
    server = http2(fault)
    result = load(server.url, users=1, requests=4)
    assert (len(result.ok), result.error_rate, server.connections) == (4, 0.0, 4)
    assert result.generator.reopened == 3


def test_a_kept_connection_that_closes_after_the_request_was_read_is_a_reset(http2, load):
    """The server had its time with the request: sending it again would hide a fault."""
    result = load(http2("late close").url, users=1, requests=4)
    assert [r.outcome for r in result.requests] == ["ok", "reset", "ok", "reset"]
    assert result.generator.reopened == 0


def test_a_request_given_up_is_gone_from_the_server(http2, load):
    """Its connection is closed at once, not with the run: the server can see that nobody waits."""
    server = http2("first hang")
    result = load(server.url, users=1, requests=2, timeout_ns=300 * MS, think_time_ns=(500 * MS, 500 * MS))
    assert [(r.outcome, r.status) for r in result.requests] == [("timed_out", 200)] * 2
    assert all(r.error.endswith("no full answer within 300 ms") for r in result.requests)
    assert server.handle.gone_before == [0, 1]


def test_more_users_than_streams_of_a_connection_do_not_queue(http2, load):
    """httpx lets 100 requests at once onto a connection: users have their own."""
    server = http2("first hang")
    result = load(server.url, users=110, requests=110, timeout_ns=2000 * MS)
    assert result.by_outcome == {"timed_out": 110}
    assert len(server.handle.bodies) == server.connections == 110

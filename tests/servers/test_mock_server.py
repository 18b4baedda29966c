"""Each planted fault must happen, and nothing but it: a raw socket reads what a client would get."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import socket
import ssl
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
import trustme

MESSAGES = [{"role": "user", "content": "[0badcafe] hello"}]
TEXT = "red green blue amber violet teal ochre indigo "
LIMIT_S = 10.0


def ask(server, path="/v1/chat/completions", **body):
    """Send one request on a connection of its own."""
    body.setdefault("prompt" if path != "/v1/chat/completions" else "messages", None)
    if "messages" in body:
        body["messages"] = body["messages"] or MESSAGES
    else:
        body["prompt"] = body["prompt"] or "[0badcafe] hello"
    return httpx.post(server.url + path, json=body, timeout=LIMIT_S)


def raw(server, request=None, wait_s=LIMIT_S):
    """The bytes of a streamed answer, and whether the server closed the connection before `wait_s`."""
    body = json.dumps({"messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}})
    request = request or f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    received = b""
    deadline = time.monotonic() + wait_s
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as connection:
        connection.sendall(request.encode())
        while (left_s := deadline - time.monotonic()) > 0:
            connection.settimeout(left_s)
            try:
                data = connection.recv(65536)
            except TimeoutError:
                break
            if not data:
                return received, True
            received += data
    return received, False


def dechunk(raw_answer):
    """The body of a chunked answer, and whether its last chunk came."""
    rest, body = raw_answer.split(b"\r\n\r\n", 1)[1], b""
    while rest:
        size_text, rest = rest.split(b"\r\n", 1)
        size = int(size_text, 16)
        if size == 0:
            return body, True
        body, rest = body + rest[:size], rest[size + 2 :]
    return body, False


def events(body):
    """The payloads of an event stream with LF line ends."""
    assert body == b"" or body.endswith(b"\n\n")
    return [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]


def text_of(payloads):
    chunks = [json.loads(payload) for payload in payloads if payload != "[DONE]"]
    return "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c.get("choices"))


def test_chat_unstreamed(mock_server):
    """A whole answer has the words, the counts and the reason it ended."""
    answer = ask(mock_server()).json()
    assert answer["choices"][0]["message"]["content"] == TEXT
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 8


def test_chat_streamed(mock_server):
    """A stream has an empty role chunk, a chunk a token, the usage when asked for, and [DONE]."""
    answer = ask(mock_server(), stream=True, stream_options={"include_usage": True})
    payloads = events(answer.content)
    assert json.loads(payloads[0])["choices"][0]["delta"] == {"content": "", "role": "assistant"}
    assert len(payloads) == 1 + 8 + 1 + 1 + 1
    assert text_of(payloads) == TEXT
    assert json.loads(payloads[-2])["usage"]["completion_tokens"] == 8
    assert payloads[-1] == "[DONE]"


def test_usage_only_when_asked(mock_server):
    """Without stream_options a stream tells no counts."""
    assert "usage" not in ask(mock_server(), stream=True).text


def test_completions(mock_server):
    """The older API says the same words, streamed or not."""
    server = mock_server("--tokens", 3)
    assert ask(server, "/v1/completions").json()["choices"][0]["text"] == "red green blue "
    payloads = events(ask(server, "/v1/completions", stream=True).content)
    assert [json.loads(p)["choices"][0]["text"] for p in payloads[:-1]] == ["red ", "green ", "blue ", ""]


def test_generate(mock_server):
    """The generic path answers {"response": ...}."""
    assert ask(mock_server("--tokens", 2), "/generate").json() == {"response": "red green "}


def test_max_tokens_asks_for_fewer(mock_server):
    """max_tokens shortens an answer and is its reason to end."""
    choice = ask(mock_server(), max_tokens=2).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("red green ", "length")


def test_models_and_health_are_not_counted(mock_server):
    """Probing the server spends none of its counted requests."""
    server = mock_server("--fail-first", 1, "--model", "tiny")
    assert httpx.get(server.url + "/v1/models").json()["data"][0]["id"] == "tiny"
    assert httpx.get(server.url + "/health").json() == {"status": "ok"}
    assert [ask(server).status_code for _ in range(2)] == [500, 200]


def test_timing_law(mock_server):
    """The server's own stamps follow ttft + i * itl and never run ahead of it."""
    server = mock_server("--ttft-ms", 60, "--itl-ms", 30, "--tokens", 4)
    ask(server, stream=True)
    (row,) = server.log_rows(1)
    offsets = [(stamp - row["received_ns"]) / 1e6 for stamp in row["token_ns"]]
    assert len(offsets) == 4
    for offset, due in zip(offsets, (60, 90, 120, 150), strict=True):
        assert due - 1 <= offset < due + 1000


def test_log_names_the_request(mock_server):
    """The log carries the nonce of the prompt, the id of the header and the count of tokens."""
    server = mock_server()
    body = {"messages": MESSAGES, "stream": True}
    httpx.post(server.url + "/v1/chat/completions", json=body, headers={"X-Request-Id": "r-1"})
    (row,) = server.log_rows(1)
    assert (row["nonce"], row["request_id"], row["tokens"], row["status"]) == ("0badcafe", "r-1", 8, 200)
    assert row["received_ns"] < row["token_ns"][0] <= row["token_ns"][-1] <= row["end_ns"]


def test_tokens_per_chunk(mock_server):
    """Several tokens share one event; the words stay the same."""
    payloads = events(ask(mock_server("--tokens-per-chunk", 3), stream=True).content)
    assert len(payloads) == 1 + 3 + 1 + 1
    assert text_of(payloads) == TEXT


def test_crlf(mock_server):
    """Event lines end in CRLF, everywhere."""
    body = ask(mock_server("--crlf"), stream=True).content
    assert body.endswith(b"data: [DONE]\r\n\r\n")
    assert body.count(b"\n") == body.count(b"\r\n")


def test_no_done(mock_server):
    """The stream ends soundly without [DONE]."""
    assert "[DONE]" not in ask(mock_server("--no-done"), stream=True).text


def test_no_usage(mock_server):
    """No counts, asked for or not, streamed or not."""
    server = mock_server("--no-usage")
    assert "usage" not in ask(server, stream=True, stream_options={"include_usage": True}).text
    assert "usage" not in ask(server).json()


def test_empty_answer(mock_server):
    """A 200 that says nothing."""
    server = mock_server("--empty-answer")
    assert ask(server).json()["choices"][0]["message"]["content"] == ""
    assert text_of(events(ask(server, stream=True).content)) == ""


def test_error_in_stream(mock_server):
    """After two tokens the stream reports an error and ends, under a 200."""
    answer = ask(mock_server("--error-in-stream", 2), stream=True)
    payloads = events(answer.content)
    assert answer.status_code == 200
    assert text_of(payloads) == "red green "
    assert json.loads(payloads[-1])["error"]["message"] == "planted error in the stream"


@pytest.mark.parametrize("kept", [0, 3, 8])
def test_truncated_stream(mock_server, kept):
    """The connection closes after K tokens: no reason to end, no [DONE], no last chunk."""
    answer, closed = raw(mock_server("--truncate-after", kept))
    body, ended = dechunk(answer)
    assert closed
    assert not ended
    assert text_of(events(body)) == "".join(TEXT.split(" ")[i] + " " for i in range(kept))
    assert b'finish_reason": "' not in body


def test_truncated_whole_answer(mock_server):
    """An unstreamed body is cut in its middle."""
    with pytest.raises(httpx.RemoteProtocolError):
        ask(mock_server("--truncate-after", 0))


@pytest.mark.parametrize("framing", ["content-length", "close"])
def test_framing(mock_server, framing):
    """Other ways to delimit a body carry the same events."""
    server = mock_server("--framing", framing)
    answer = ask(server, stream=True)
    assert text_of(events(answer.content)) == TEXT
    assert ("content-length" in answer.headers) == (framing == "content-length")
    assert "transfer-encoding" not in answer.headers


def test_truncated_content_length(mock_server):
    """A cut body is shorter than it promised."""
    answer, closed = raw(mock_server("--framing", "content-length", "--truncate-after", 2))
    head, body = answer.split(b"\r\n\r\n", 1)
    assert closed
    assert len(body) < int(re.search(rb"Content-Length: (\d+)", head)[1])


def test_fail_status(mock_server):
    """Every answer fails, as JSON."""
    answer = ask(mock_server("--fail-status", 429))
    assert answer.status_code == 429
    assert answer.json()["error"]["message"] == "planted failure"


def test_fail_every(mock_server):
    """Each third request fails; the status may be chosen."""
    server = mock_server("--fail-every", 3, "--fail-status", 503)
    assert [ask(server).status_code for _ in range(6)] == [200, 200, 503, 200, 200, 503]


def test_healthy_first(mock_server):
    """The first requests are spared, for tests that must see a sound server before a sick one."""
    server = mock_server("--fail-status", 500, "--healthy-first", 2)
    assert [ask(server).status_code for _ in range(3)] == [200, 200, 500]


def test_hang(mock_server):
    """The request is read and nothing ever comes."""
    server = mock_server("--hang")
    assert raw(server, wait_s=0.4) == (b"", False)
    (row,) = server.log_rows(1)
    assert (row["status"], row["client_gone"]) == (None, True)


def test_hang_after_headers(mock_server):
    """The headers come, then nothing."""
    answer, closed = raw(mock_server("--hang-after-headers"), wait_s=0.4)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")
    assert not closed


def test_client_that_leaves_is_logged(mock_server):
    """A client that vanishes in mid-stream ends the answer."""
    server = mock_server("--itl-ms", 50, "--tokens", 100)
    assert b"red" in raw(server, wait_s=1.0)[0]
    (row,) = server.log_rows(1)
    assert row["client_gone"]
    assert row["tokens"] < 100


def test_keep_alive_is_kept(mock_server):
    """Without a fault one connection serves several requests."""
    with httpx.Client(base_url=mock_server().url) as client:
        client.get("/health")
        first = client.get("/health").extensions["network_stream"].get_extra_info("client_addr")
        second = client.get("/health").extensions["network_stream"].get_extra_info("client_addr")
    assert first == second


def test_close_after_answer(mock_server):
    """A complete streamed answer, keep-alive promised, and the connection closed all the same."""
    answer, closed = raw(mock_server("--close-after-answer"))
    assert b"Connection: keep-alive" in answer
    assert dechunk(answer)[1]
    assert closed


def test_close_idle(mock_server):
    """A kept connection is closed when idle; before its first request it is not."""
    answer, closed = raw(mock_server("--close-idle-ms", 100), "GET /health HTTP/1.1\r\n\r\n")
    assert b'{"status": "ok"}' in answer
    assert closed


def test_refuse_after(mock_server):
    """After N requests no connection is made any more, and kept ones are gone."""
    server = mock_server("--refuse-after", 2)
    with httpx.Client(base_url=server.url) as idle:
        idle.get("/health")
        assert [ask(server).status_code for _ in range(2)] == [200, 200]
        with pytest.raises(httpx.ConnectError):
            ask(server)
        with pytest.raises(httpx.TransportError):
            idle.get("/health")
    assert server.is_alive()


def test_die_after(mock_server):
    """The process kills itself after its second answer."""
    server = mock_server("--die-after", 2)
    assert ask(server).status_code == 200
    assert server.is_alive()
    ask(server)
    server.wait_until_gone()
    assert not server.is_alive()


def test_leak(mock_server):
    """Memory grows with each request by what was asked for."""
    server = mock_server("--leak-kb", 5000)
    before = resident_kb(server.pid)
    for _ in range(10):
        ask(server)
    assert 45_000 < resident_kb(server.pid) - before < 70_000


def resident_kb(pid):
    return psutil.Process(pid).memory_info().rss / 1000


def test_spread_is_a_lognormal_law_of_its_seed(mock_server):
    """--ttft-ms is its median; each request has its time by the seed and its number."""
    options = ("--ttft-ms", 20, "--itl-ms", 0, "--tokens", 1, "--spread", 0.5)
    late_ms = {}
    for seed in (1, 2):
        server = mock_server(*options, "--seed", seed)
        for _ in range(25):
            assert ask(server, stream=True).status_code == 200
        late_ms[seed] = [(row["token_ns"][0] - row["received_ns"]) / 1e6 for row in server.log_rows(25)]
    law = [20 * math.exp(random.Random(f"1 {number}").gauss(0, 0.5)) for number in range(1, 26)]
    # A timer is late, never early; on a busy machine by much, but not each time.
    over = [found - due for found, due in zip(late_ms[1], law, strict=True)]
    assert min(over) >= -0.1
    assert statistics.median(over) < 10
    assert sum(1 for a, b in zip(late_ms[1], late_ms[2], strict=True) if abs(a - b) > 5) > 5


def test_slow_every(mock_server):
    """Each second request is late by the time asked for, the others are not."""
    server = mock_server("--slow-every", 2, "--slow-ms", 800)
    for _ in range(4):
        ask(server, stream=True)
    waits = [(row["token_ns"][0] - row["received_ns"]) / 1e6 for row in server.log_rows(4)]
    assert min(waits[1], waits[3]) >= 799
    assert max(waits[0], waits[2]) < 799


def test_loading(mock_server):
    """Everything is 503 at first, then works."""
    server = mock_server("--loading-s", 2)
    assert httpx.get(server.url + "/health").status_code == 503
    deadline = time.monotonic() + LIMIT_S
    while httpx.get(server.url + "/health").status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ask(server).status_code == 200


def test_reject_unknown(mock_server):
    """A field beyond the first ones is a 400 that names it."""
    server = mock_server("--reject-unknown")
    answer = ask(server, stream=True, stream_options={"include_usage": True})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "unknown field 'stream_options'")
    assert ask(server, stream=True).status_code == 200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "the body is not a JSON object"),
        (b"{}", "'messages' is required"),
        (b'{"messages": [], "max_tokens": -5}', "max_tokens is not a positive number"),
    ],
)
def test_bad_bodies(mock_server, content, message):
    """What is not a request is a clean 400."""
    answer = httpx.post(mock_server().url + "/v1/chat/completions", content=content)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


def test_unknown_path_and_method(mock_server):
    """404 and 405 are JSON too."""
    server = mock_server()
    assert httpx.get(server.url + "/nowhere").json()["error"]["code"] == 404
    assert httpx.get(server.url + "/generate").json()["error"]["code"] == 405


def test_chunked_request_body(mock_server):
    """A client may send its body in chunks."""
    body = json.dumps({"prompt": "hello"}).encode()
    answer = httpx.post(mock_server("--tokens", 1).url + "/generate", content=iter([body[:5], body[5:]]))
    assert answer.json() == {"response": "red "}


def test_tls(mock_server, tmp_path):
    """With a certificate the same answers come over TLS."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    server = mock_server("--tls", tmp_path / "cert.pem", tmp_path / "cert.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    assert httpx.get(server.url + "/health", verify=context).json() == {"status": "ok"}


def test_faults_combine(mock_server):
    """Two faults of different kinds happen together."""
    body = ask(mock_server("--crlf", "--no-done", "--tokens-per-chunk", 4), stream=True).content
    assert body.count(b"data: ") == 1 + 2 + 1
    assert body.count(b"\n") == body.count(b"\r\n") == 8


def test_server_that_does_not_start_says_why(mock_server):
    """The fixture shows the server's own words."""
    with pytest.raises(AssertionError, match="unrecognized arguments: --no-such-fault"):
        mock_server("--no-such-fault")


def test_slots(mock_server):
    """Three that come at once to one slot are answered one after the other, the tokens as quick as ever."""
    server = mock_server("--slots", 1, "--ttft-ms", 40, "--itl-ms", 1, "--tokens", 2)
    with ThreadPoolExecutor(3) as pool:
        assert [answer.status_code for answer in pool.map(lambda _: ask(server), range(3))] == [200] * 3
    last_ns = sorted(row["token_ns"][-1] for row in server.log_rows(3))
    assert all(later - earlier >= 40e6 for earlier, later in itertools.pairwise(last_ns))

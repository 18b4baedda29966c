"""The endpoint against a scripted server on a real socket."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time

import msgspec
import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.wire import Wire


def event(**fields) -> str:
    return f"data: {json.dumps(fields)}\n\n"


def text_event(text: str, finish: str | None = None) -> str:
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}])


def hello(asked, connection) -> None:
    """A healthy streamed answer: two tokens, usage, end mark."""
    usage = event(choices=[], usage={"completion_tokens": 2})
    connection.begin_events(text_event("Hel"), text_event("lo", "stop"), usage, "data: [DONE]\n\n")
    connection.end_events()


@pytest.fixture
def endpoint_of(scripted):
    """Make an endpoint on a script; closed with the test."""
    made = []

    def make(script, tls=None, **changes):
        server = scripted(script, tls)
        endpoint = Endpoint(msgspec.structs.replace(server.target, **changes))
        made.append(endpoint)
        return endpoint, server

    yield make
    for endpoint in made:
        endpoint.close()


def test_generate_gives_text_tokens_and_times(endpoint_of):
    """A healthy answer: text, the server's count, times in their order."""
    endpoint, server = endpoint_of(hello)
    reply = endpoint.generate("Hi", max_tokens=3)
    assert (reply.text, reply.outcome, reply.status) == ("Hello", "ok", 200)
    assert (reply.output_tokens, reply.tokens_from, reply.finish_reason) == (2, "usage", "stop")
    record = reply.record
    stamps = [record.scheduled_ns, record.sent_ns, record.first_byte_ns, *record.token_ns, record.end_ns]
    assert stamps == sorted(stamps)
    assert 0 < reply.ttft_ms <= reply.e2e_ms < 10_000
    assert json.loads(server.asked[0].body)["max_tokens"] == 3
    assert server.asked[0].path == "/v1/chat/completions"


def test_connection_is_kept(endpoint_of):
    """Three questions, one connection."""
    endpoint, server = endpoint_of(hello)
    assert [endpoint.generate("Hi").ok for _ in range(3)] == [True, True, True]
    assert server.connections == 1


def test_no_compression_is_asked_for(endpoint_of):
    """Bytes are stamped as they come, so they must not be packed."""
    endpoint, server = endpoint_of(hello, headers=(("X-Tenant", "a"), ("User-Agent", "mine")))
    endpoint.generate("Hi")
    headers = server.asked[0].headers
    assert headers["accept-encoding"] == "identity"
    assert (headers["x-tenant"], headers["user-agent"]) == ("a", "mine")


def test_stream_gives_pieces_as_they_come(endpoint_of):
    """A piece arrives while the server still writes the next."""
    first_seen = threading.Event()

    def script(asked, connection):
        connection.begin_events(text_event("one"))
        waited = first_seen.wait(10)
        connection.chunk(text_event("two" if waited else "too late", "stop"))
        connection.end_events()

    endpoint, _ = endpoint_of(script)
    stream = endpoint.stream("Hi")
    pieces = []
    for piece in stream:
        pieces.append(piece)
        first_seen.set()
    assert pieces == ["one", "two"]
    assert stream.reply.text == "onetwo"
    assert stream.reply.ok


def endless(closed: threading.Event):
    def script(asked, connection):
        connection.begin_events()
        try:
            while True:
                connection.chunk(text_event("x"))
                time.sleep(0.01)
        except OSError:
            closed.set()
            raise

    return script


def test_leaving_the_loop_closes_the_connection(endpoint_of):
    """After a break the server sees the client gone, and the reply has what came."""
    closed = threading.Event()
    endpoint, _ = endpoint_of(endless(closed))
    stream = endpoint.stream("Hi")
    for _ in stream:
        break
    assert closed.wait(10)
    assert stream.reply.outcome == "cut_off"
    assert "the client closed the connection" in stream.reply.error
    assert stream.reply.text.startswith("x")


def test_with_statement_closes_the_connection(endpoint_of):
    """Leaving the `with` statement without reading closes too."""
    closed = threading.Event()
    endpoint, _ = endpoint_of(endless(closed))
    with endpoint.stream("Hi") as stream:
        assert next(iter(stream)) == "x"
    assert closed.wait(10)
    assert repr(stream).startswith("Stream(Reply(cut_off, status=200")


def test_reply_before_the_end_is_refused(endpoint_of):
    """The reply exists at the end only; the message says how to get there."""
    endpoint, _ = endpoint_of(endless(threading.Event()))
    with endpoint.stream("Hi") as stream:
        with pytest.raises(SetupError) as caught:
            _ = stream.reply
        assert repr(stream) == "Stream(under way)"
    assert str(caught.value) == (
        "the answer has not ended: iterate over the stream to its end, then ask for .reply"
    )


def test_limit_holds_for_the_whole_answer(endpoint_of):
    """A server that drips does not get more time with every drop."""
    endpoint, _ = endpoint_of(endless(threading.Event()))
    begun = time.monotonic()
    reply = endpoint.generate("Hi", timeout="300ms")
    assert 0.25 < time.monotonic() - begun < 5
    assert reply.outcome == "timed_out"
    assert "the answer has not ended within 0.3 s" in reply.error


def test_hang_is_a_timeout(endpoint_of):
    """A server that accepts and never answers is timed out, with that said."""
    release = threading.Event()
    endpoint, _ = endpoint_of(lambda asked, connection: release.wait(10))
    reply = endpoint.generate("Hi", timeout=0.2)
    release.set()
    assert (reply.outcome, reply.status, reply.error) == ("timed_out", None, "no answer within 0.2 s")


def cut_in_answer(asked, connection):
    connection.begin_events(text_event("Hel"))
    connection.close()


def reset_at_once(asked, connection):
    connection.reset()


def no_http(asked, connection):
    connection.send("220 ready for mail\r\n\r\n")
    connection.close()


def error_500(asked, connection):
    connection.answer(500, '{"error": {"message": "out of memory"}}')


def error_in_stream(asked, connection):
    connection.begin_events(event(error={"message": "engine died"}))
    connection.end_events()


@pytest.mark.parametrize(
    ("script", "outcome", "status", "error"),
    [
        (cut_in_answer, "cut_off", 200, "the server closed the connection"),
        (reset_at_once, "reset", None, "connection reset by peer"),
        (no_http, "malformed", None, "not HTTP"),
        (error_500, "http_5xx", 500, "out of memory"),
        (error_in_stream, "server_error_in_stream", 200, "engine died"),
    ],
)
def test_faults_of_the_server_are_data(endpoint_of, script, outcome, status, error):
    """No fault of the server raises; each has its outcome and a line that says what happened."""
    endpoint, _ = endpoint_of(script)
    reply = endpoint.generate("Hi", timeout=10)
    assert (reply.outcome, reply.status, reply.ok) == (outcome, status, False)
    assert error in reply.error


def test_refused_connection_is_data(scripted):
    """No server there: refused."""
    server = scripted(hello)
    server.close()
    endpoint = Endpoint(server.target)
    reply = endpoint.generate("Hi")
    endpoint.close()
    assert (reply.outcome, reply.error) == ("refused", "connection refused")
    assert reply.record.sent_ns is None
    assert reply.e2e_ms is None


def test_connection_closed_while_idle_is_opened_again(endpoint_of):
    """A server that closes after each answer although it promised to keep the connection."""

    def script(asked, connection):
        hello(asked, connection)
        connection.close()

    endpoint, server = endpoint_of(script)
    assert all(endpoint.generate("Hi").ok for _ in range(20))
    assert len(server.asked) == 20


def test_request_is_sent_again_on_a_fresh_connection_once(endpoint_of):
    """A close on a kept connection before any byte of the answer: one more try, on a new one."""

    def script(asked, connection):
        first_on_connection = seen.count(asked.connection) == 0
        seen.append(asked.connection)
        hello(asked, connection) if first_on_connection else connection.close()

    seen: list[int] = []
    endpoint, _ = endpoint_of(script)
    assert [endpoint.generate("Hi").ok for _ in range(2)] == [True, True]
    assert seen == [1, 1, 2]


def test_close_on_a_new_connection_is_a_fault(endpoint_of):
    """A fresh connection that closes without an answer is the server's fault; nothing is sent again."""
    endpoint, server = endpoint_of(lambda asked, connection: connection.close())
    reply = endpoint.generate("Hi")
    assert (reply.outcome, reply.error) == ("reset", "the server closed the connection")
    assert len(server.asked) == 1


def test_redirects_are_not_followed(endpoint_of):
    """A redirect is told, not followed: it would send the key elsewhere."""
    endpoint, server = endpoint_of(
        lambda asked, connection: connection.send(
            "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
        )
    )
    assert endpoint.generate("Hi").outcome == "malformed"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("timeout", "message"),
    [
        ("soon", 'timeout: \'soon\' is not a duration: write "60s", "5m", "1500ms", "4h" or seconds'),
        (0, "timeout: 0 leaves no time to answer"),
    ],
)
def test_wrong_timeout_is_the_users_fault(endpoint_of, timeout, message):
    """A limit that is none is told before anything is sent."""
    endpoint, server = endpoint_of(hello)
    with pytest.raises(SetupError) as caught:
        endpoint.generate("Hi", timeout=timeout)
    assert str(caught.value) == message
    assert server.asked == []


def test_secrets_never_show(endpoint_of):
    """A server that quotes the key does not get it into a message or repr."""

    def script(asked, connection):
        connection.answer(401, json.dumps({"error": f"Incorrect key: {asked.headers['authorization']}"}))

    endpoint, _ = endpoint_of(script, headers=(("Authorization", "Bearer sk-12345678"),))
    reply, outcome = endpoint.generate("Hi"), endpoint.send({})
    assert reply.error == "401: Incorrect key: ***"
    assert outcome.error == "401: Incorrect key: ***"
    assert "sk-1234" not in f"{reply!r} {outcome!r} {endpoint!r}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("a b", "x", "header name 'a b' is not allowed in HTTP: write --llm-header 'Name: value'"),
        ("X-Key", "x\ny", "the value of header 'X-Key' holds a line break or another control character"),
    ],
)
def test_header_that_cannot_be_sent(endpoint_of, name, value, message):
    """A header that would break HTTP is the user's fault; its value is not shown."""
    endpoint, _ = endpoint_of(hello, headers=((name, value),))
    with pytest.raises(SetupError) as caught:
        endpoint.generate("Hi")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"a": [1, "\ud800"]}, b'{"a": [1, "\\ud800"]}'),
        ([float("nan")], b"[NaN]"),
        ("{broken \ud800", b"{broken \xed\xa0\x80"),
        (b"\xff\x00", b"\xff\x00"),
        (5, b"5"),
    ],
)
def test_send_sends_the_body_as_it_is(endpoint_of, body, sent):
    """Text and bytes untouched, the rest as JSON, however odd."""
    endpoint, server = endpoint_of(lambda asked, connection: connection.answer(200, "{}"))
    outcome = endpoint.send(body)
    assert (outcome, outcome.status, outcome.body) == ("ok", 200, b"{}")
    asked = server.asked[0]
    assert (asked.method, asked.path, asked.body) == ("POST", "/v1/chat/completions", sent)
    assert asked.headers["content-type"] == "application/json"


def test_send_with_path_headers_and_method(endpoint_of):
    """Path, method and headers are the test's to choose; its headers win over the target's."""
    endpoint, server = endpoint_of(
        lambda asked, connection: connection.answer(204, ""), headers=(("X-Key", "right-key"),)
    )
    endpoint.send("x", path="/other", headers={"x-key": "wrong", "Content-Type": "text/plain"}, method="PUT")
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("PUT", "/other")
    assert (asked.headers["x-key"], asked.headers["content-type"]) == ("wrong", "text/plain")


@pytest.mark.parametrize(
    ("script", "outcome", "error"),
    [
        (lambda a, c: c.answer(400, '{"detail": "no messages"}'), "http_4xx", "no messages"),
        (error_500, "http_5xx", "out of memory"),
        (error_in_stream, "server_error_in_stream", "engine died"),
        (lambda a, c: c.answer(200, ""), "ok", None),
        (reset_at_once, "reset", "connection reset by peer"),
    ],
)
def test_send_tells_how_it_ended(endpoint_of, script, outcome, error):
    """A raw request ends by status and transport; the server's own reason is beside it."""
    endpoint, _ = endpoint_of(script)
    found = endpoint.send({"messages": []})
    assert found == outcome
    assert (found.error is None) if error is None else (error in found.error)


def test_a_question_asked_while_the_connections_are_closed_ends_all_the_same(endpoint_of, monkeypatch):
    """Either it is cut off, or it is asked over new ones; it never waits for a thread that has ended."""
    endpoint, _ = endpoint_of(hello)
    started, closing = Wire._running_loop, []

    def just_before_it_closes(wire):
        loop = started(wire)
        closing.append(threading.Thread(target=endpoint.close))
        closing[-1].start()
        time.sleep(0.2)
        return loop

    monkeypatch.setattr(Wire, "_running_loop", just_before_it_closes)
    began = time.monotonic()
    assert endpoint.generate("hi", timeout=60).outcome in {"ok", "reset"}
    closing[0].join(10)
    assert time.monotonic() - began < 10


def test_send_with_a_false_length_is_the_users_fault(endpoint_of):
    """A Content-Length that contradicts the body is hardly meant: one that is has a type of its own."""
    endpoint, server = endpoint_of(hello)
    with pytest.raises(SetupError) as caught:
        endpoint.send("abc", headers={"content-length": "1"})
    assert str(caught.value) == (
        "header Content-Length is '1' but the body has 3 bytes: leave the header out,"
        " or send WrongLength(body, content_length=...)"
    )
    assert server.asked == []


@pytest.mark.parametrize(
    ("statuses", "alive"),
    [
        ({"/health": 200}, True),
        ({"/health": 404}, True),
        ({"/health": 503, "/v1/models": 200}, True),
        ({"/health": 503, "/v1/models": 500, "/": 404}, True),
        ({"/health": 503, "/v1/models": 500, "/": 502}, False),
    ],
)
def test_alive_is_any_answer_below_500(endpoint_of, statuses, alive):
    """The three paths in turn; the first answer below 500 is a sign of life."""
    endpoint, server = endpoint_of(lambda asked, connection: connection.answer(statuses[asked.path], ""))
    assert endpoint.is_alive() is alive
    assert [asked.path for asked in server.asked] == list(statuses)


def test_hung_server_is_not_alive(endpoint_of):
    """No answer in time is no life, and costs no more than the limit."""
    release = threading.Event()
    endpoint, _ = endpoint_of(lambda asked, connection: release.wait(10))
    begun = time.monotonic()
    assert endpoint.is_alive(timeout=0.2) is False
    assert time.monotonic() - begun < 3
    release.set()


def test_no_server_is_not_alive(scripted):
    """A refused connection is no life."""
    server = scripted(hello)
    server.close()
    endpoint = Endpoint(server.target)
    assert endpoint.is_alive() is False
    endpoint.close()


def test_async_twins_do_the_same(endpoint_of):
    """agenerate and astream in two event loops one after the other: the client serves both."""
    endpoint, _ = endpoint_of(hello)

    async def ask():
        replies = await asyncio.gather(*(endpoint.agenerate("Hi") for _ in range(3)))
        stream = endpoint.astream("Hi")
        return [reply.text for reply in replies], [piece async for piece in stream], stream.reply

    for _ in range(2):
        texts, pieces, reply = asyncio.run(ask())
        assert (texts, pieces) == (["Hello"] * 3, ["Hel", "lo"])
        assert reply.ok


def test_leaving_an_async_loop_closes_the_connection(endpoint_of):
    """After a break out of `async for` the server sees the client gone."""
    closed = threading.Event()
    endpoint, _ = endpoint_of(endless(closed))

    async def ask():
        async with endpoint.astream("Hi") as stream:
            async for piece in stream:
                assert piece == "x"
                break
        return stream.reply

    assert asyncio.run(ask()).outcome == "cut_off"
    assert closed.wait(10)


def test_cancelled_question_closes_the_connection(endpoint_of):
    """A cancelled task does not leave its request running on the server."""
    closed = threading.Event()
    endpoint, _ = endpoint_of(endless(closed))

    async def ask():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await endpoint.agenerate("Hi")

    asyncio.run(ask())
    assert closed.wait(10)


def test_questions_at_the_same_time_do_not_wait_for_each_other(endpoint_of):
    """Streams begun together run together: each gets its own connection."""
    together = threading.Barrier(3)

    def script(asked, connection):
        together.wait(10)
        hello(asked, connection)

    endpoint, server = endpoint_of(script)
    streams = [endpoint.stream("Hi") for _ in range(3)]
    assert ["".join(stream) for stream in streams] == ["Hello"] * 3
    assert server.connections == 3


def test_close_ends_the_thread_and_the_next_question_starts_it_again(endpoint_of):
    """A closed endpoint holds no thread and can be asked again."""
    before = set(threading.enumerate())

    def threads():
        return [t for t in set(threading.enumerate()) - before if t.name == "llmserve-endpoint"]

    endpoint, _ = endpoint_of(hello)
    assert endpoint.generate("Hi").ok
    assert len(threads()) == 1
    endpoint.close()
    assert threads() == []
    assert endpoint.generate("Hi").ok


@pytest.fixture
def authority():
    """A certificate authority, and a server's TLS context from it."""
    trustme = pytest.importorskip("trustme")
    made = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("127.0.0.1").configure_cert(context)
    return made, context


def test_https_with_an_authority_of_the_system(endpoint_of, authority, tmp_path, monkeypatch):
    """TLS trusts what the system trusts; SSL_CERT_FILE adds a company's own authority."""
    made, context = authority
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    endpoint, server = endpoint_of(hello, context)
    assert [endpoint.generate("Hi").text for _ in range(2)] == ["Hello", "Hello"]
    assert server.connections == 1


def test_https_with_an_unknown_authority_is_refused(endpoint_of, authority):
    """A certificate that nobody vouches for: no connection, and the reason."""
    endpoint, server = endpoint_of(hello, authority[1])
    reply = endpoint.generate("Hi")
    assert reply.outcome == "refused"
    assert reply.error == (
        "TLS: certificate not trusted (unable to get local issuer certificate):"
        " give its authority with --llm-ca FILE, or leave the check out with --llm-insecure"
    )
    assert server.asked == []


def test_forked_child_can_ask_too(endpoint_of, programs):
    """A process that forks after a question: parent and child both go on asking."""
    _, server = endpoint_of(hello)
    program = programs.run(
        "forking.py",
        f"""
        import os
        from pytest_llmserve.domain.target import Target
        from pytest_llmserve.serve.endpoint import Endpoint
        endpoint = Endpoint(Target(scheme="http", host="127.0.0.1", port={server.port}, api="openai-chat"))
        assert endpoint.generate("Hi").ok
        child = os.fork()
        ok = endpoint.generate("Hi", timeout=5).ok
        if child == 0:
            os._exit(0 if ok else 1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("parent", ok, "child", status, flush=True)
        """,
    )
    assert program.stdout.readline() == "parent True child 0\n"


def test_names_of_the_endpoint(endpoint_of):
    """url, api, model and repr are those of the target."""
    endpoint, server = endpoint_of(hello)
    assert (endpoint.url, endpoint.api, endpoint.model) == (server.url, "openai-chat", "m")
    assert repr(endpoint) == f"Endpoint({server.url}, api=openai-chat, model=m)"

"""The simulator on a real socket: what a client gets, and what becomes of one that leaves."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from dataclasses import dataclass, replace

import pytest

from pytest_llmserve.simulator import orders
from pytest_llmserve.simulator.connection import Connection
from pytest_llmserve.simulator.faults import FAULTS
from pytest_llmserve.simulator.faults.fault import Fault, Part
from pytest_llmserve.simulator.server import Simulator
from pytest_llmserve.simulator.settings import Settings
from pytest_llmserve.simulator.timing import TimingLaw
from pytest_llmserve.simulator.wire import Request

QUICK = Settings(law=TimingLaw(ttft_ms=1, itl_ms=0.5), tokens=4, patience_s=0.1)
SLOW = replace(QUICK, law=TimingLaw(ttft_ms=1, itl_ms=10_000), slots=1)
LIMIT_S = 10.0


@contextlib.asynccontextmanager
async def running(settings=QUICK, *faults):
    """A simulator in this loop: itself, its port, its log."""
    simulator = Simulator(settings, list(faults), io.StringIO())
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Connection(simulator), "127.0.0.1", 0)
    try:
        async with asyncio.timeout(LIMIT_S):
            yield simulator, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


def request(body, path="/v1/completions", *headers, method="POST"):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Content-Length: {len(raw)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + raw


async def talk(port, *sent):
    """All that comes back, until the server closes or the last answer is whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for data in sent:
            writer.write(data)
        return await reader.read()
    finally:
        writer.close()


async def ask(port, body, *headers):
    """Status and body of one answer."""
    raw = await talk(port, request(body, "/v1/completions", "Connection: close", *headers))
    head, _, said = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), said


async def until(holds):
    while not holds():
        await asyncio.sleep(0.002)


STREAM = {"prompt": "hi", "stream": True}


def test_requests_of_a_connection_are_answered_in_their_order():
    """Pipelined, refused ones among them; HEAD without a body; the last one closes."""

    async def run():
        async with running() as (simulator, port):
            raw = await talk(
                port,
                request({"prompt": "hi", "max_tokens": 1}) + request(b"{"),
                request(b"", "/nope", method="GET") + request(b"", "/health", method="HEAD"),
                request(b"", "/v1/completions", "Connection: close", method="GET"),
            )
            return raw, simulator

    raw, simulator = asyncio.run(run())
    heads = [line for line in raw.split(b"\r\n") if b"HTTP/1.1 " in line]
    statuses = [line.partition(b"HTTP/1.1 ")[2][:3] for line in heads]
    assert statuses == [b"200", b"400", b"404", b"200", b"405"]
    assert b"Allow: POST\r\n" in raw
    assert raw.endswith(
        b'{"error": {"message": "/v1/completions takes POST, not GET", "type": "invalid_request_error",'
        b' "code": 405}}'
    )
    assert simulator.counts.statuses == {200: 2, 400: 1, 404: 1, 405: 1}


def test_what_can_never_be_a_request_is_answered_and_the_connection_closed():
    """A body that is too large and still being sent; one that never comes whole; no HTTP at all."""

    async def run():
        async with running(replace(QUICK, most_body_bytes=1000)) as (_, port):
            large = await talk(port, request(b"x" * 5_000_000))
            begun = time.monotonic()
            short = await talk(port, b"POST /v1/completions HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}")
            took_s = time.monotonic() - begun
            other = await talk(port, b"\x16\x03\x01\r\n\r\n")
            assert (await ask(port, {"prompt": "hi"}))[0] == 200
            return large, short, took_s, other

    large, short, took_s, other = asyncio.run(run())
    assert large.startswith(b"HTTP/1.1 413 ")
    assert b"the body of 5000000 bytes is over the limit of 1000" in large
    assert short.startswith(b"HTTP/1.1 408 ")
    assert b"the rest of the request did not come within 0.1 s" in short
    assert took_s < 5
    assert other.startswith(b"HTTP/1.1 400 ")


def test_a_client_that_leaves_gives_its_slot_back_at_once():
    """In the middle of its answer, and while it waits; the next one is served."""

    async def run():
        async with running(SLOW) as (simulator, port):
            _, first = await asyncio.open_connection("127.0.0.1", port)
            first.write(request(STREAM))
            await until(lambda: simulator.slots.running == 1)
            _, second = await asyncio.open_connection("127.0.0.1", port)
            second.write(request(STREAM))
            await until(lambda: simulator.slots.waiting == 1)
            second.close()
            await until(lambda: simulator.slots.waiting == 0)
            assert simulator.slots.running == 1
            first.close()
            await until(lambda: simulator.slots.running == 0)
            assert (await ask(port, {"prompt": "hi", "max_tokens": 1}))[0] == 200
            assert simulator.counts.finished == {"stop": 0, "length": 1, "load": 0, "abort": 2}
            assert simulator.counts.held_tokens == 0
            return simulator._log.getvalue()

    log = asyncio.run(run())
    assert log == (
        'INFO 127.0.0.1 "POST /v1/completions" 499\n' * 2 + 'INFO 127.0.0.1 "POST /v1/completions" 200\n'
    )


@dataclass
class Forgetful(Fault):
    """Never notices that a client has left."""

    def left(self, asked):
        return False


def test_a_fault_may_keep_the_slot_of_a_client_that_left():
    """Its own, and the place of one that waited."""

    async def run():
        async with running(SLOW, Forgetful(), Fault()) as (simulator, port):
            for _ in range(2):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request(STREAM))
                await until(lambda: simulator.under_way == 1)
                writer.close()
                await until(lambda: simulator.under_way == 0)
            return simulator.slots.running, simulator.slots.waiting

    assert asyncio.run(run()) == (1, 1)


@dataclass
class Meddling(Fault):
    """Changes all that a fault may change."""

    then: str = "end"
    length: int | None = None

    def asked(self, asked):
        self.seen = (asked.number, asked.face, asked.body, asked.prompt, asked.active, asked.stream)
        asked.text += "!"
        asked.late_ms = 50
        if asked.prompt == "teapot":
            asked.status, asked.error = 418, "short and stout"

    def streamed(self, asked, stream):
        stream.parts = [Part(0, b"ab"), Part(0, b""), Part(1, b"cd", 1)]
        stream.then, stream.length = self.then, self.length

    def whole(self, asked, body):
        return body.replace(b"!", b"?")


def test_a_fault_changes_what_is_answered_and_when():
    """Text, status, time and bytes."""

    async def run():
        fault = Meddling()
        async with running(QUICK, fault) as (_, port):
            begun = time.monotonic()
            status, said = await ask(port, {"prompt": "hi", "max_tokens": 1})
            assert time.monotonic() - begun > 0.05
            assert fault.seen == (1, "openai-completions", {"prompt": "hi", "max_tokens": 1}, "hi", 1, False)
            text = json.loads(said)["choices"][0]["text"]
            assert (status, text[-1]) == (200, "?")
            status, said = await ask(port, {"prompt": "teapot"})
            assert (status, json.loads(said)["error"]["message"]) == (418, "short and stout")
            await ask(port, b"[")
            assert fault.seen[:3] == (3, "openai-completions", None)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("then", "length", "expected"),
    [
        (
            "end",
            None,
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
        ),
        ("cut", None, b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nab\r\n2\r\ncd\r\n"),
        ("end", 9, b"Content-Length: 9\r\nConnection: close\r\n\r\nabcd"),
    ],
)
def test_a_fault_changes_how_a_stream_ends(then, length, expected):
    """Cut before its end, or with another length than it was told; never a chunk of no bytes in it."""

    async def run():
        async with running(QUICK, Meddling(then, length)) as (_, port):
            return await talk(port, request(STREAM, "/v1/completions", "Connection: close"))

    assert asyncio.run(run()).endswith(b"Content-Type: text/event-stream\r\n" + expected)


def test_a_stream_may_end_with_a_reset_or_not_at_all():
    """The client gets an error, or waits."""

    async def run():
        async with running(QUICK, Meddling("reset")) as (_, port):
            with pytest.raises(ConnectionResetError):
                await talk(port, request(STREAM))
        async with running(QUICK, Meddling("hang")) as (simulator, port):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(talk(port, request(STREAM)), 0.2)
            await until(lambda: simulator.slots.running == 0)

    asyncio.run(run())


@dataclass
class Standstill(Fault):
    """Stops every answer when two are under way."""

    def deadlocks(self, active):
        return active == 2


def test_a_deadlock_stops_every_answer_but_not_the_pages():
    """Those that had begun as well; whoever comes later waits too."""

    async def run():
        async with running(replace(QUICK, law=TimingLaw(ttft_ms=100)), Standstill()) as (simulator, port):
            asked = [asyncio.create_task(ask(port, {"prompt": "hi"})) for _ in range(2)]
            await until(lambda: simulator.stuck)
            done, _ = await asyncio.wait([*asked, asyncio.create_task(ask(port, STREAM))], timeout=0.4)
            assert not done
            raw = await talk(port, request(b"", "/health", "Connection: close", method="GET"))
            assert raw.endswith(b'{"status": "ok"}')

    asyncio.run(run())


@dataclass
class Broken(Fault):
    """Has a bug."""

    def asked(self, asked):
        raise LookupError("planted bug")


def test_a_bug_is_told_in_the_log_and_never_to_the_client(capsys):
    """500, no traceback in the answer; the server lives on."""

    async def run():
        async with running(QUICK, Broken()) as (simulator, port):
            first, second = await ask(port, {"prompt": "hi"}), await ask(port, {"prompt": "hi"})
            assert simulator.under_way == 0
            return first, second

    first, second = asyncio.run(run())
    said = b'{"error": {"message": "the simulator itself has failed: its log says how",'
    assert first == second == (500, said + b' "type": "server_error", "code": 500}}')
    assert "LookupError: planted bug" in capsys.readouterr().err


def test_a_request_may_bring_its_own_faults(monkeypatch):
    """By a header, for itself alone; one that is not there, or cannot be so, is refused."""
    monkeypatch.setitem(FAULTS, "meddling", f"{__name__}:Meddling")

    async def run():
        async with running() as (_, port):
            header = "X-Simulator-Fault: meddling:then=cut"
            assert (await ask(port, STREAM, header))[1].endswith(b"2\r\ncd\r\n")
            assert (await ask(port, STREAM))[1].endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            wrong = ("medling", "leak:kb=-5")
            return [await ask(port, STREAM, f"X-Simulator-Fault: {each}") for each in wrong]

    told = [(status, json.loads(said)["error"]["message"]) for status, said in asyncio.run(run())]
    assert [status for status, _ in told] == [400, 400]
    assert told[0][1].startswith(
        "header x-simulator-fault: no fault 'medling'; did you mean meddling? there are: "
    )
    assert told[1][1] == ("header x-simulator-fault: fault leak: kb=-5: give a whole number, 0 to 1000000")


def test_one_slot_for_two_makes_the_second_wait():
    """Its own time begins when it gets the slot; the page of metrics tells of both."""

    async def run():
        law = TimingLaw(ttft_ms=150)
        async with running(replace(QUICK, law=law, slots=1)) as (simulator, port):
            begun = time.monotonic()
            asked = [asyncio.create_task(ask(port, {"prompt": "hi"})) for _ in range(2)]
            await until(lambda: simulator.slots.waiting == 1)
            page = await talk(port, request(b"", "/metrics", "Connection: close", method="GET"))
            assert b'vllm:num_requests_running{model_name="simulator"} 1\n' in page
            assert b'vllm:num_requests_waiting{model_name="simulator"} 1\n' in page
            await asyncio.gather(*asked)
            return time.monotonic() - begun

    assert asyncio.run(run()) >= 0.3


async def exchange(port, method, path, body=b""):
    """Status and body of one answer of any path."""
    raw = await talk(port, request(body, path, "Connection: close", method=method))
    head, _, said = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), said.decode()


def test_an_order_is_fetched_once_and_what_is_wrong_is_refused_at_once():
    """Gradio's two exchanges; faults are named, and requests counted, by the order."""

    async def play():
        async with running(QUICK) as (simulator, port):
            path = "/gradio_api/call/predict"
            status, said = await exchange(port, "POST", path, {"data": ["hi", 2]})
            place = f"{path}/{json.loads(said)['event_id']}"
            assert (status, simulator.under_way) == (200, 0)
            status, said = await exchange(port, "GET", place)
            assert status == 200
            assert said.count("event: generating") == 2
            assert said.count("event: complete") == 1
            assert await exchange(port, "GET", place) == (200, 'event: error\ndata: "404: Not Found"\n\n')
            assert (await exchange(port, "POST", place))[0] == 405
            assert await exchange(port, "POST", path, {"data": []}) == (
                422,
                '{"detail": "data has 0 values: predict takes a prompt and perhaps max_tokens"}',
            )
            assert (await exchange(port, "POST", path, {"data": ["hi " * 99_999]}))[0] == 400
            status, said = await exchange(port, "POST", "/gradio_api/run/predict", {"data": ["hi", 2]})
            assert len(json.loads(said)["data"][0].split()) == 2

    asyncio.run(play())


def test_orders_that_nobody_fetches_are_forgotten(monkeypatch):
    """The oldest first: whoever orders and leaves fills no memory."""
    monkeypatch.setattr(orders, "MOST", 2)
    kept = orders.Orders()
    order = Request("POST", "/call", {"x": "1"}, b"body", 0)
    places = [f"/call/{kept.take(order)}" for _ in range(3)]
    fetched = [kept.fetched(Request("GET", place, {"y": "2"}, b"", 5)) for place in places]
    assert [one is not None for one in fetched] == [False, True, True]
    assert (fetched[1].body, fetched[1].received_ns, fetched[1].headers) == (b"body", 5, {"x": "1", "y": "2"})

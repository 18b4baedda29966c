"""A Gradio function as a test asks it: answers that are ordered by one exchange and fetched by the next."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import msgspec
import pytest

from pytest_llmserve.domain.disconnects import (
    ANSWERED,
    BEFORE_FIRST_TOKEN,
    FIN,
    LEFT,
    MID_STREAM,
    MID_UPLOAD,
    RST,
    SILENT,
)
from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.wrong_length import WrongLength
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.vanishing import Leaving, leave

PATH = "/gradio_api/call/chat"


def event(name, data):
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def app(asked, connection):
    """A Gradio app: "slow" takes 0.15 s to order, "close" closes behind it, "gone" forgets it."""
    if len(asked.body) < int(asked.headers.get("content-length", 0)):
        connection.close()
        return
    if asked.method == "POST":
        data = json.loads(asked.body).get("data")
        if not isinstance(data, list):
            connection.answer(422, '{"detail":"Field required"}')
            return
        if "slow" in data[0]:
            time.sleep(0.15)
        connection.answer(200, json.dumps({"event_id": data[0].split()[0]}))
        if "close" in data[0]:
            connection.close()
        return
    if asked.path.endswith("gone"):
        connection.answer(404, '{"detail":"Not Found"}')
        return
    connection.begin_events()
    for n in range(3 if "endless" not in asked.path else 1000):
        time.sleep(0.03)
        connection.chunk(event("generating", ["t " * (n + 1)]))
    connection.chunk(event("complete", ["t t t "]))
    connection.end_events()


@pytest.fixture
def server(scripted):
    made = scripted(app)
    made.target = msgspec.structs.replace(made.target, api="gradio", path=PATH, headers=(("X-Key", "k"),))
    return made


@pytest.fixture
def endpoint(server):
    with contextlib.closing(Endpoint(server.target)) as made:
        yield made


def test_a_question_is_asked_in_two_exchanges(server, endpoint):
    """Timed from the first; text comes piece by piece, and the record has both."""
    reply = endpoint.generate("slow")
    assert (reply.outcome, reply.text, reply.output_tokens) == ("ok", "t t t ", 3)
    (step,) = reply.record.steps
    assert reply.record.sent_ns == step.sent_ns < step.end_ns < reply.record.first_byte_ns
    assert reply.ttft_ms >= 175
    assert [row.method for row in server.asked] == ["POST", "GET"]
    assert server.asked[1].path == f"{PATH}/slow"
    assert {row.headers["x-key"] for row in server.asked} == {"k"}
    with endpoint.stream("quick") as stream:
        assert list(stream) == ["t ", "t ", "t "]
    assert stream.reply.record.steps[0].status == 200

    async def play():
        return [piece async for piece in endpoint.astream("quick")], await endpoint.agenerate("close")

    pieces, reply = asyncio.run(play())
    assert (pieces, reply.text) == (["t ", "t ", "t "], "t t t ")


def test_an_order_that_is_refused_or_lost_is_told(endpoint):
    reply = endpoint.generate("gone")
    assert (reply.outcome, reply.error, reply.status) == ("http_4xx", "404: Not Found", 404)
    assert len(reply.record.steps) == 1
    reply = endpoint.generate("slow", timeout=0.1)
    assert (reply.outcome, reply.record.steps) == ("timed_out", ())
    assert endpoint.generate("endless", timeout=0.4).outcome == "timed_out"


def test_an_order_whose_answer_breaks_off_keeps_its_status(scripted):
    """A proxy's 500 cut short is a 500, as of an API with one exchange; an order cut short is a cut."""

    def script(asked, connection):
        status, half = ("500 Oops", "boom") if asked.connection == 1 else ("200 OK", '{"event_id": "a')
        connection.send(f"HTTP/1.1 {status}\r\nContent-Length: 100\r\n\r\n{half}")
        connection.close()

    target = msgspec.structs.replace(scripted(script).target, api="gradio", path=PATH)
    with contextlib.closing(Endpoint(target)) as endpoint:
        reply = endpoint.generate("x")
        assert (reply.outcome, reply.error) == ("http_5xx", "500: boom (the server closed the connection)")
        assert endpoint.generate("x").outcome == "cut_off"


def test_a_raw_body_is_followed_to_its_answer(server, endpoint):
    """With its own headers in both; a body that is refused is not followed, nor is a lie about its length."""
    outcome = endpoint.send({"data": ["raw"]}, headers={"X-Key": "mine"})
    assert (outcome, outcome.status) == ("ok", 200)
    assert outcome.body.endswith(event("complete", ["t t t "]).encode())
    assert [row.headers["x-key"] for row in server.asked] == ["mine", "mine"]
    assert "content-type" not in server.asked[1].headers
    refused = endpoint.send({"prompt": "x"})
    assert (refused, refused.error) == ("http_4xx", "422: Field required")
    other = endpoint.send({"data": ["raw"]}, path="/gradio_api/call/other")
    assert other.body == outcome.body
    assert server.asked[-1].path == "/gradio_api/call/other/raw"
    answered = endpoint.answered(endpoint.request({"data": ["raw"]}), asked=True)
    assert (answered.outcome, answered.text, answered.no_answer) == ("ok", "t t t ", None)
    body = b'{"data": ["x"]}'
    assert endpoint.send(WrongLength(body, content_length=len(body))) == "ok"
    assert [row.method for row in server.asked[3:]] == ["POST", "GET", "POST", "GET", "POST"]


def leaving(number, where, by=FIN, prompt="endless", **more):
    body = json.dumps({"data": [prompt]}).encode()
    return Leaving(
        number=number, where=where, by=by, request=HttpRequest(method="POST", path=PATH, body=body), **more
    )


def test_clients_leave_in_either_exchange(server, eventually):
    """In the upload, before the order is answered, before the first token and in the stream."""
    plan = [
        leaving(1, MID_UPLOAD),
        leaving(2, BEFORE_FIRST_TOKEN, prompt="slow", delay_s=0.02),
        leaving(3, BEFORE_FIRST_TOKEN, RST, delay_s=0.02),
        leaving(4, MID_STREAM, RST, pieces=2),
        leaving(5, MID_STREAM, prompt="endless close"),
        leaving(6, MID_STREAM, prompt="gone"),
    ]
    began = time.monotonic()
    visits = leave(server.target, plan, 1, 5.0)
    assert [(visit.came, visit.error) for visit in visits] == [
        (LEFT, None),
        (LEFT, None),
        (LEFT, None),
        (LEFT, None),
        (LEFT, None),
        (ANSWERED, "status 404"),
    ]
    assert time.monotonic() - began < 10
    fetched = [row.path.rpartition("/")[2] for row in server.asked if row.method == "GET"]
    assert fetched == ["endless", "endless", "endless", "gone"]


def test_an_order_that_trickles_has_a_deadline(scripted):
    """Byte by byte for ever is silence; refused is answered."""

    def script(asked, connection):
        if asked.connection == 2:
            connection.answer(503, '{"detail":"Queue is full."}')
            return
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        for _ in range(500):
            time.sleep(0.02)
            connection.send(" ")

    target = msgspec.structs.replace(scripted(script).target, api="gradio", path=PATH)
    visits = leave(target, [leaving(1, MID_STREAM), leaving(2, MID_STREAM)], 1, 0.4)
    assert [(visit.came, visit.error) for visit in visits] == [
        (SILENT, "not a byte more within 0.4 s"),
        (ANSWERED, "status 503"),
    ]

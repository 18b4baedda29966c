"""Answers without end to questions whose answer is short."""

from __future__ import annotations

import gc
import json
import threading

import msgspec
import pytest

from pytest_llmserve.domain.disconnects import ANSWERED, FIN, MID_STREAM
from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.serve.call import PROBE_BYTES
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.exchange import ORDER_BYTES
from pytest_llmserve.serve.ready import wait_ready
from pytest_llmserve.serve.story import Story
from pytest_llmserve.serve.vanishing import Leaving, leave

SLACK_BYTES = 50_000_000  # what lies in the sockets when the client closes
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
PATH = "/gradio_api/call/chat"


class Endless:
    """Answers some paths without end, /ask at once, and others with 404.

    Attributes:
        sent_bytes: of the longest answer so far.
    """

    def __init__(self, *paths: str) -> None:
        self.paths = paths
        self.sent_bytes = 0

    def __call__(self, asked, connection):
        if asked.path in self.paths:
            self.flood(connection)
        elif asked.path == "/ask":
            connection.answer(200, '{"text": "Hi"}')
        else:
            connection.answer(404, "{}")

    def flood(self, connection):
        connection.send(HEAD)
        piece, sent_bytes = " " * 65_536, 0
        while sent_bytes < 200_000_000:
            connection.chunk(piece)
            sent_bytes += len(piece)
            self.sent_bytes = max(self.sent_bytes, sent_bytes)


def test_a_probe_is_read_no_further_than_a_few_mb_and_says_so(scripted, caplog):
    """Whatever the server sends at the paths by which servers are known; what it does answer, is found."""
    script = Endless("/v1/models", "/ask/v1/models", "/openapi.json", "/health")
    server = scripted(script)
    story = Story()
    target = msgspec.structs.replace(server.target, api="auto", model=None, path="/ask")
    endpoint = wait_ready(target, limit_ns=30 * NS_PER_S, story=story)
    assert endpoint.api == "json"
    assert f"{story.asked[0]}: {story.asked[0].so}" == (
        "GET /ask/v1/models answered 200 application/json (longer than 8 MB: read no further): tells nothing"
    )
    assert endpoint.is_alive()
    endpoint.close()
    gc.collect()
    assert caplog.records == []  # asyncio tells of tasks that are left behind
    assert PROBE_BYTES < script.sent_bytes < PROBE_BYTES + SLACK_BYTES


@pytest.mark.parametrize("size", [ORDER_BYTES // 2, 3 * ORDER_BYTES])
def test_what_is_no_order_is_the_answer_itself(scripted, size):
    """Short or long."""
    body = json.dumps({"data": ["x" * size]})
    target = scripted(lambda _, connection: connection.answer(200, body)).target
    endpoint = Endpoint(msgspec.structs.replace(target, api="gradio", path=PATH))
    assert len(endpoint.send({"data": ["x"]}).body) == len(body)
    assert len(endpoint.generate("x").text) == size
    endpoint.close()


def test_a_long_first_answer_is_not_kept_until_its_end(scripted):
    """Its text comes while it does."""
    came, waited = threading.Event(), []

    def script(_, connection):
        text = "x" * 2 * ORDER_BYTES
        connection.begin_events(f"event: generating\ndata: {json.dumps([text])}\n\n")
        waited.append(came.wait(10))
        connection.chunk(f"event: complete\ndata: {json.dumps([text + 'y'])}\n\n")
        connection.end_events()

    endpoint = Endpoint(msgspec.structs.replace(scripted(script).target, api="gradio", path=PATH))
    with endpoint.stream("x") as stream:
        pieces = []
        for piece in stream:
            pieces.append(len(piece))
            came.set()
    endpoint.close()
    assert (pieces, waited) == ([2 * ORDER_BYTES, 1], [True])


def test_a_client_that_is_to_leave_reads_no_order_without_end(scripted):
    script = Endless(PATH)
    target = msgspec.structs.replace(scripted(script).target, api="gradio", path=PATH)
    request = HttpRequest(method="POST", path=PATH, body=b'{"data": ["x"]}')
    (visit,) = leave(target, [Leaving(number=1, where=MID_STREAM, by=FIN, request=request)], 1, 20.0)
    assert (visit.came, visit.error) == (ANSWERED, None)
    assert script.sent_bytes < ORDER_BYTES + SLACK_BYTES

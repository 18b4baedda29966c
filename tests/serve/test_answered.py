"""A request sent as it is, once, and all of its answer."""

from __future__ import annotations

import gzip
from http.server import BaseHTTPRequestHandler

import msgspec
import pytest

from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.serve.endpoint import Endpoint

ANSWER = b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'
UNENDED = b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n'


class Handler(BaseHTTPRequestHandler):
    """Keeps connections; by path it breaks one, packs its answer, or leaves out a stream's end mark."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.server.asked.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/broken":
            self.close_connection = True
            return
        packed = self.path == "/packed"
        streamed = self.headers["X-Stream"] is not None
        body = UNENDED if streamed else gzip.compress(ANSWER) if packed else ANSWER
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if streamed else "application/json")
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server(serving):
    with serving(Handler) as served:
        yield served


@pytest.fixture(scope="module")
def endpoint(server):
    opened = Endpoint(msgspec.structs.replace(target_from_url(server.url), api="openai-chat", model="m"))
    yield opened
    opened.close()


def test_what_breaks_its_connection_is_sent_once(server, endpoint):
    """Though a kept connection lies idle, on which it would be sent again."""
    assert endpoint.generate("hi").ok
    assert endpoint.answered(endpoint.request(b"{}", path="/broken")).outcome == "reset"
    assert server.asked.count("/broken") == 1


def test_an_answer_is_unpacked(endpoint):
    """And is told with its type and its times."""
    found = endpoint.answered(endpoint.request(b"{}", path="/packed"))
    assert (found.outcome, found.status, found.content_type, found.tokens) == (
        "ok",
        200,
        "application/json",
        1,
    )
    assert found.body == ANSWER
    assert found.begun_ns < found.end_ns


def test_an_end_mark_is_wanted_of_this_api_alone(endpoint):
    """Another path may speak otherwise."""
    headers = {"X-Stream": "1"}
    assert endpoint.answered(endpoint.request(b"{}", headers=headers)).outcome == "cut_off"
    assert endpoint.answered(endpoint.request(b"{}", headers=headers, path="/other")).outcome == "ok"

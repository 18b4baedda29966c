"""A request sent as it is, once, and all of its answer."""

from __future__ import annotations

import contextlib
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
        if self.headers["X-Says"] is not None:
            self.say(self.headers["X-Says"].replace("|", "\n").encode())
            return
        streamed = self.headers["X-Stream"] is not None
        body = UNENDED if streamed else gzip.compress(ANSWER) if packed else ANSWER
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if streamed else "application/json")
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def say(self, body):
        """As it is told, in a type of its own."""
        kinds = {b"d": "text/event-stream", b"<": "text/html"}
        self.send_response(200 if body else 204)
        self.send_header("Content-Type", kinds.get(body[:1], "application/json"))
        if body:
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


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("<html>Internal Server Error</html>", "neither an event stream nor JSON (text/html): '<html>"),
        ("null", "not what the API promises (Expected `object`, got `null`)"),
        ("{}", "no answer at choices: the server sent {}"),
        ('{"choices": []}', "no answer at choices: the server sent the keys choices"),
        ("", "empty answer: status 204 with no body"),
        ('{"choices": [{"message": {"content": "hi"}}]}', None),
        ('{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}', None),
        ('{"choices": [{"message": {"content": null}}]}', None),
        (
            'data: {"choices": [{"delta": {"role": "assistant"}, "finish_reason": "stop"}]}||data: [DONE]||',
            None,
        ),
    ],
)
def test_a_question_wants_an_answer_and_an_empty_one_will_do(endpoint, says, why):
    """Of what is no question nothing is wanted."""
    request = endpoint.encoded("hi", {})
    request = msgspec.structs.replace(request, headers=(*request.headers, ("X-Says", says)))
    found = endpoint.answered(request, asked=True)
    assert found.outcome == "ok"
    assert (found.no_answer or "")[: len(why or "")] == (why or "")
    assert (found.no_answer is None) is (why is None)
    assert endpoint.answered(request).no_answer is None
    assert found.named == "/v1/chat/completions m"


def test_an_empty_answer_of_any_server_is_told_from_none(server):
    """Where no API is known, by the place of the text."""
    target = msgspec.structs.replace(target_from_url(server.url), api="json")
    with contextlib.closing(Endpoint(target)) as endpoint:
        request = endpoint.encoded("hi", {})
        for says, answers in (('{"response": ""}', True), ('{"status": 1}', False)):
            told = msgspec.structs.replace(request, headers=(("X-Says", says),))
            assert (endpoint.answered(told, asked=True).no_answer is None) is answers

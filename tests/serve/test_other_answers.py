"""Answers of forms that no API promises, and headers that one demands, over sockets."""

from __future__ import annotations

import threading

import msgspec
import pytest

from pytest_llmserve.serve.curl import shown_request
from pytest_llmserve.serve.endpoint import Endpoint

WORDS = ["The", " caf\u00e9", " is", " open"]
HEAD = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
WAIT_S = 20


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        ("Content-Type: text/plain; charset=utf-8\r\n", "%s"),
        ("", "%s"),
        ("Content-Type: application/json\r\n", '{"text": "%s"}\n'),
        ("Content-Type: text/event-stream\r\n", "data: %s\n\n"),
    ],
    ids=["plain text", "no type", "lines called JSON", "words as events"],
)
def test_each_piece_is_given_out_as_it_comes(scripted, head, piece):
    """The server sends a piece when the one before was read; of JSON lines the first waits for the second."""
    read = threading.Semaphore(1 if "json" in head else 0)

    def script(asked, connection):
        connection.send(HEAD + head + "\r\n")
        for word in WORDS:
            connection.chunk(piece % word)
            if word != WORDS[-1]:
                read.acquire(timeout=WAIT_S)
        connection.end_events()

    target = msgspec.structs.replace(scripted(script).target, api="json")
    endpoint = Endpoint(target)
    found = []
    with endpoint.stream("hi", timeout=WAIT_S) as pieces:
        for said in pieces:
            found.append(said)
            read.release()
    endpoint.close()
    reply = pieces.reply
    assert (reply.outcome, reply.text, len(reply.record.token_ns)) == ("ok", "".join(WORDS), 4)
    assert "".join(found) == reply.text
    assert len(found) >= 3
    assert len(set(reply.record.token_ns)) == 4


def test_a_header_that_the_api_demands_goes_with_every_request(scripted):
    """Of Anthropic's: its version, and the key under its name; the user's own go before, no key is shown."""
    server = scripted(lambda asked, connection: connection.answer(200, '{"content": [{"text": "hi"}]}'))
    mine = (("Authorization", "Bearer sk-12345"), ("Anthropic-Version", "2099-01-01"))
    bodies = {
        "generate": lambda endpoint: endpoint.generate("hi").outcome,
        "send": lambda endpoint: endpoint.send({}),
    }
    for headers, version in ((mine[:1], "2023-06-01"), (mine, "2099-01-01")):
        target = msgspec.structs.replace(server.target, api="anthropic-messages", headers=headers)
        endpoint = Endpoint(target)
        for ask in bodies.values():
            assert ask(endpoint) == "ok"
            told = server.asked[-1].headers
            assert (told["anthropic-version"], told["x-api-key"]) == (version, "sk-12345")
        assert endpoint.send({}, headers={"ANTHROPIC-VERSION": "1", "x-api-key": "none"}) == "ok"
        told = server.asked[-1].headers
        assert (told["anthropic-version"], told["x-api-key"]) == ("1", "none")
        shown = shown_request(target, endpoint.request({}))
        endpoint.close()
        assert "sk-12345" not in shown
        assert "x-api-key: ***" in shown
        assert "nthropic-" in shown

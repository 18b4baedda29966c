"""Clients that vanish, as the server sees it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time

import msgspec
import pytest
import trustme

from pytest_llmserve.domain.disconnects import (
    ANSWERED,
    BEFORE_FIRST_TOKEN,
    FIN,
    LEFT,
    MID_STREAM,
    MID_UPLOAD,
    NO_CONNECTION,
    RST,
    SILENT,
)
from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.trust import Trust
from pytest_llmserve.serve.vanishing import Leaving, leave

WORD = 'data: {"choices": [{"index": 0, "delta": {"content": "word "}}]}\n\n'


def leaving(number, where, by=FIN, body=b'{"stream": true}', **more):
    request = HttpRequest(method="POST", path="/v1/chat/completions", body=body)
    return Leaving(number=number, where=where, by=by, request=request, **more)


def seen_of(scripted, **wire):
    """(a server that notes how each of its clients ended, what it noted)."""
    noted = []

    def script(asked, connection):
        if len(asked.body) < int(asked.headers["content-length"]):
            noted.append(("half", len(asked.body)))
            connection.open = False
            return
        if not json.loads(asked.body)["stream"]:
            noted.append(_ended(connection.sock))
            connection.open = False
            return
        connection.begin_events()
        sent = 0
        try:
            while True:
                connection.chunk(WORD)
                sent += 1
                time.sleep(0.01)
        except OSError as error:
            noted.append((type(error).__name__, sent))
            raise

    return scripted(script, **wire), noted


def _ended(sock):
    try:
        return "FIN" if sock.recv(1) == b"" else "more"
    except (ConnectionResetError, ssl.SSLError) as error:
        return "FIN" if isinstance(error, ssl.SSLEOFError) else "RST"


def test_a_connection_is_closed_or_reset_while_the_server_still_thinks(scripted, eventually):
    """After the delay that was asked for, with all of the request sent."""
    server, noted = seen_of(scripted)
    body = b'{"stream": false}'
    plan = [
        leaving(1, BEFORE_FIRST_TOKEN, FIN, body, delay_s=0.05),
        leaving(2, BEFORE_FIRST_TOKEN, RST, body, delay_s=0.05),
    ]
    began = time.monotonic()
    visits = leave(server.target, plan, 1, 5.0)
    assert time.monotonic() - began >= 0.1
    assert [visit.came for visit in visits] == [LEFT, LEFT]
    assert eventually(lambda: len(noted) == 2)
    assert noted == ["FIN", "RST"]
    assert [asked.body for asked in server.asked] == [body, body]


@pytest.mark.parametrize("wire", ["plain", "tls", "unix"])
def test_a_stream_and_an_upload_end_in_the_middle(scripted, eventually, tmp_path, wire):
    """Over each wire; headers of the target are sent too."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # with one unread a close is a reset
    authority.issue_cert("127.0.0.1").configure_cert(context)
    wires = {"plain": {}, "tls": {"tls": context}, "unix": {"socket_path": str(tmp_path / "s")}}
    server, noted = seen_of(scripted, **wires[wire])
    target = msgspec.structs.replace(
        server.target, headers=(("X-Key", "k"),), trust=Trust(ca=str(tmp_path / "ca.pem"))
    )
    plan = [leaving(1, MID_STREAM, pieces=3), leaving(2, MID_UPLOAD, body=b"x" * 1000)]
    assert [visit.came for visit in leave(target, plan, 1, 5.0)] == [LEFT, LEFT]
    assert eventually(lambda: len(noted) == 2)
    assert ("half", 500) in noted
    sent = next(row[1] for row in noted if row[0] != "half")
    assert 3 <= sent < 100
    assert server.asked[0].headers["x-key"] == "k"


def test_whoever_cannot_leave_says_why(scripted):
    """Refused, answered before, no answer, no server; the second that is not answered waits less."""

    def script(asked, connection):
        if asked.connection < 3:
            connection.answer(400 if asked.connection == 1 else 200, '{"error": {"message": "no"}}')
            return
        time.sleep(20)

    server = scripted(script)
    visits = leave(server.target, [leaving(number, MID_STREAM) for number in range(1, 5)], 1, 1.5)
    assert [(visit.came, visit.error) for visit in visits] == [
        (ANSWERED, "status 400"),
        (ANSWERED, None),
        (SILENT, "not a byte more within 1.5 s"),
        (SILENT, "not a byte more within 1 s"),
    ]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = msgspec.structs.replace(
            target_from_url(f"http://127.0.0.1:{free.getsockname()[1]}"), api="openai-chat"
        )
        visits = leave(nobody, [leaving(1, MID_STREAM)], 1, 1.5)
    assert [(visit.came, visit.error) for visit in visits] == [(NO_CONNECTION, "connection refused")]


def test_an_interrupt_ends_all_clients_at_once(scripted, monkeypatch):
    """Those that wait for an answer are woken."""
    server = scripted(lambda asked, connection: time.sleep(20))
    monkeypatch.setattr(threading.Thread, "join", _interrupted(threading.Thread.join))
    with pytest.raises(KeyboardInterrupt):
        leave(server.target, [leaving(1, MID_STREAM)], 1, 20.0)
    monkeypatch.undo()
    waiting = [thread for thread in threading.enumerate() if thread.name == "llmserve-leaving"]
    for thread in waiting:
        thread.join(5)
    assert not any(thread.is_alive() for thread in waiting)


def _interrupted(join):
    def once(thread, timeout=None):
        join(thread, timeout)
        raise KeyboardInterrupt

    return once

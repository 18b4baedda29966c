"""A body that lies about its length: what goes over the wire, and what is made of what comes back."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time

import msgspec
import pytest
import trustme

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.trust import Trust
from pytest_llmserve.domain.wrong_length import WrongLength
from pytest_llmserve.serve import lying
from pytest_llmserve.serve.curl import shown_request
from pytest_llmserve.serve.endpoint import Endpoint

REFUSAL = b'HTTP/1.1 400 Bad\r\nContent-Length: 16\r\n\r\n{"detail": "no"}'
KEY = "sk-5f2e9-secret"


class Peer:
    """Takes one connection after the other, and does with each what `then(sock, first)` does.

    `first` is what came in the first read; `ends` has what the client did last.
    """

    def __init__(self, then, context=None, path=None):
        self.got, self.ends = [], []
        self._then, self._context = then, context
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.bind(path or ("127.0.0.1", 0))
        self._listener.listen()
        self.port = None if path else self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=True)
            with sock:
                sock.settimeout(10)
                self.got.append(sock.recv(65536))
                self.ends.append(self._then(sock))

    def close(self):
        with contextlib.suppress(OSError):  # it is closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def peer():
    """``peer(then)`` -> (the server, an endpoint to it that has a key)."""
    made = []

    def make(then, *, context=None, path=None, **changes):
        server = Peer(then, context, path)
        scheme = "https" if context else "http"
        url = f"http+unix://{path.replace('/', '%2F')}" if path else f"{scheme}://127.0.0.1:{server.port}"
        target = msgspec.structs.replace(
            target_from_url(url), api="json", headers=(("X-Api-Key", KEY),), **changes
        )
        made.append(server)
        return server, Endpoint(target)

    yield make
    for server in made:
        server.close()


@pytest.fixture
def hasty(monkeypatch):
    """Waits are short."""
    monkeypatch.setattr(lying, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(lying, "UNCLEAR_WAIT_S", 0.05)
    monkeypatch.setattr(lying, "LAST_WAIT_S", 0.3)


def refuse(sock):
    sock.sendall(REFUSAL)


def wait_for_the_rest(sock):
    """As a server does that believes the head; True once the client has closed its half."""
    left = sock.recv(65536) == b""
    with contextlib.suppress(ssl.SSLError):  # to TLS the connection is broken
        sock.sendall(REFUSAL)
    return left


@pytest.mark.parametrize(
    ("lie", "lines"),
    [
        (WrongLength(b"{}", 100), b"Content-Length: 100\r\n"),
        (WrongLength(b"{}", "\xb2"), b"Content-Length: \xb2\r\n"),
        (WrongLength(b"{}", (2, 3)), b"Content-Length: 2\r\nContent-Length: 3\r\n"),
        (WrongLength(b"{}", 2, "chunked"), b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n"),
        (WrongLength(b"{}", None), b""),
    ],
)
def test_it_is_sent_as_it_is(peer, lie, lines):
    """With the headers that every request has, and no other length than the one it was given."""
    server, endpoint = peer(refuse)
    found = endpoint.send(lie, path="/any", headers={"X-More": "1"})
    assert (found, found.status, found.error, found.body) == ("http_4xx", 400, "400: no", b'{"detail": "no"}')
    head, _, body = server.got[0].partition(b"\r\n\r\n")
    assert body == b"{}"
    first, *sent = (head + b"\r\n").splitlines(keepends=True)
    assert first == b"POST /any HTTP/1.1\r\n"
    told = [line for line in sent if line.lower().startswith((b"content-length", b"transfer-encoding"))]
    assert b"".join(told) == lines
    assert {b"X-More: 1\r\n", b"X-Api-Key: %b\r\n" % KEY.encode()} <= set(sent)


@pytest.mark.parametrize("wire", ["plain", "tls", "unix"])
def test_a_server_that_waits_for_the_rest_is_told_that_there_is_none(peer, tmp_path, wire, hasty, eventually):
    """Over each wire; its answer is heard, but over TLS, where the end of one half is the end of both."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    wires = {"plain": {}, "tls": {"context": context}, "unix": {"path": str(tmp_path / "s")}}
    server, endpoint = peer(wait_for_the_rest, trust=Trust(ca=str(tmp_path / "ca.pem")), **wires[wire])
    assert endpoint.send(WrongLength(b"{}", 100)) == ("reset" if wire == "tls" else "http_4xx")
    assert eventually(lambda: server.ends == [True])
    assert (server.got[0][:4], server.got[0][-2:]) == (b"POST", b"{}")


def test_a_request_that_is_whole_by_its_head_is_waited_for_as_any_other(peer, hasty, eventually):
    """Too short a length; the server takes longer than it may be silent to a head that promises more."""

    def think(sock):
        time.sleep(0.2)
        sock.setblocking(False)
        try:
            return sock.recv(1)
        except BlockingIOError:
            sock.setblocking(True)
            sock.sendall(REFUSAL)
            return "not left"

    server, endpoint = peer(think)
    assert endpoint.send(WrongLength(b"{}", 1)) == "http_4xx"
    assert eventually(lambda: server.ends == ["not left"])


def silent(sock):
    time.sleep(1.0)


def close(sock):
    pass


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def half(sock):
    sock.sendall(REFUSAL[:-4])


def cut_head(sock):
    sock.sendall(b"HTTP/1.1 400 Bad\r\nA: b")


def cut_chunk(sock):
    sock.sendall(b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")


def unframed(sock):
    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 400 Bad\r\nX: y\r\n\r\n{}")


def twice(sock):
    sock.sendall(REFUSAL + b"HTTP/1.1 500 Worse\r\nContent-Length: 1\r\n\r\nx")


def key(sock):
    body = b'{"detail": "%b is"}' % KEY.encode()
    sock.sendall(b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@pytest.mark.parametrize(
    ("then", "outcome", "status", "error"),
    [
        (
            silent,
            "timed_out",
            None,
            "neither an answer nor the end of the connection, though it was told that no more is coming",
        ),
        (close, "reset", None, "the server closed the connection"),
        (reset, "reset", None, "connection reset by peer"),
        (half, "http_4xx", 400, None),
        (unframed, "http_4xx", 400, None),
        (cut_head, "reset", None, "the server closed the connection"),
        (cut_chunk, "http_4xx", 400, None),
        (twice, "http_4xx", 400, "400: no"),
        (key, "http_4xx", 400, "400: *** is"),
        (lambda sock: sock.sendall(b"\0" * 10), "malformed", None, "not HTTP: "),
        (lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000), "malformed", None, "not HTTP"),
    ],
)
def test_every_end_has_its_word(peer, hasty, then, outcome, status, error):
    """The first answer counts; a key in it is hidden."""
    _, endpoint = peer(then)
    began = time.monotonic()
    found = endpoint.send(WrongLength(b"{}", 100), timeout=20)
    assert time.monotonic() - began < 10
    assert (found, found.status) == (outcome, status)
    assert error is None or (found.error or "").startswith(error)
    assert endpoint.heard.silence is None, "no sign of a server that hangs"


def test_an_answer_that_does_not_end_has_the_time_of_the_call(peer):
    _, endpoint = peer(lambda sock: (half(sock), time.sleep(2)))
    found = endpoint.answered(endpoint.request(WrongLength(b"{}", 1)), timeout=0.3)
    assert (found.outcome, found.status, found.complete) == ("http_4xx", 400, False)
    assert 0.2e9 < found.end_ns - found.begun_ns < 1.9e9


def test_the_time_of_the_call_holds_for_all_of_it(peer):
    """A server that may wait for more is told within half of it; one that has all it wants is not."""
    _, endpoint = peer(lambda sock: time.sleep(0.4))
    began = time.monotonic()
    for told, error in ((100, lying._SILENT), (1, "no answer within 0.3 s")):
        found = endpoint.send(WrongLength(b"{}", told), timeout=0.3)
        assert (found, found.error) == ("timed_out", error)
    assert 0.6 <= time.monotonic() - began < 5


def test_nobody_there(peer):
    server, endpoint = peer(close)
    server.close()
    found = endpoint.send(WrongLength(b"{}", 100))
    assert (found, found.error) == ("refused", "connection refused")


def test_what_cannot_be_sent_is_the_users_fault(peer):
    """A second length, and a path that is none."""
    _, endpoint = peer(refuse)
    lie = WrongLength(b"{}", 100)
    with pytest.raises(SetupError) as caught:
        endpoint.send(lie, headers={"Content-Length": "2"})
    assert str(caught.value) == (
        "a WrongLength brings its own Content-Length: leave the header Content-Length out"
    )
    with pytest.raises(SetupError) as caught:
        endpoint.send(lie, path="/a\nb")
    assert str(caught.value) == "path '/a\\nb' is not allowed in a URL: it holds a control character"


def test_it_is_shown_with_its_lie(peer):
    """curl would send it otherwise."""
    _, endpoint = peer(refuse)
    shown = {
        lie: shown_request(endpoint.target, endpoint.request(lie, path="/x"))
        for lie in (WrongLength(b"{}", 100), WrongLength(b"[]", None), WrongLength(b'""', 2, "chunked"))
    }
    assert [text.partition(" (")[0] for text in shown.values()] == [
        "POST /x with Content-Length: '100' before '{}'",
        "POST /x with no Content-Length before '[]'",
        "POST /x with Transfer-Encoding: 'chunked', Content-Length: '2' before '\"\"'",
    ]

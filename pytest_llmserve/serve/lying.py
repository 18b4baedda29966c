"""Sends a body whose head lies about its length, and takes what comes, over a connection of its own.

A server that waits for the rest would wait for ever: nothing more is coming, and after a short while it is
told so by closing our half of the connection.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time

import httptools

from pytest_llmserve.domain.addresses import addresses_of
from pytest_llmserve.domain.errors import ServerUnusable, SetupError
from pytest_llmserve.domain.exchange import (
    CLOSED_EARLY,
    COMPLETE,
    CONNECTION_RESET,
    NOT_HTTP,
    TIME_LIMIT,
    Ending,
)
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.wrong_length import WrongLength
from pytest_llmserve.serve.exact import connected, context_of, head_bytes
from pytest_llmserve.serve.faults import NOT_CONNECTED, reason
from pytest_llmserve.serve.wire import Exchange, merged_headers

FIRST_WAIT_S, UNCLEAR_WAIT_S = 0.25, 1.0
"""So long may a server be silent to a head that promises more, and to one that it may read as it likes."""
LAST_WAIT_S = 2.0
"""And so long to answer or to close, once it knows that no more is coming."""
_READ_BYTES = 65_536
_LONGEST_HEAD = 65_536
_PATH = re.compile(r"[!-~]+\Z")
_OWN = ("content-length", "transfer-encoding")


def lie_bytes(target: Target, exchange: Exchange, body: WrongLength) -> bytes:
    """The request as it goes over the wire.

    Raises:
        SetupError: it has a header or a path that cannot be sent, or two that tell the length.
    """
    request = exchange.request
    headers = merged_headers(target, request, own_headers_win=exchange.own_headers_win)
    told = [name for name, _ in headers if name.lower() in _OWN]
    if told:
        raise SetupError(f"a WrongLength brings its own {told[0]}: leave the header {told[0]} out")
    if not _PATH.match(request.path):
        raise SetupError(f"path {request.path!r} is not allowed in a URL: quote what is not ASCII")
    # Not in UTF-8 as the others: a byte above 0x7f is one digit too strange for many a parser.
    lines = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in body.headers)
    return head_bytes(request, headers)[:-2] + lines + b"\r\n" + bytes(body)


def first_wait_s(body: WrongLength) -> float | None:
    """How long to wait for a word before our half is closed; None = as for any whole request."""
    promised = body.promised_bytes
    if promised is None:
        return UNCLEAR_WAIT_S
    return FIRST_WAIT_S if promised > len(body) else None


def perform(target: Target, exchange: Exchange, body: WrongLength) -> None:
    """Run an exchange to its end, within its limit; its silence is not told to what listens for a server's.

    Raises:
        SetupError: the request cannot be sent as HTTP.
    """
    data = lie_bytes(target, exchange, body)
    context, deadline = context_of(target), time.monotonic() + exchange.limit_s
    try:
        sock = connected(target, addresses_of(target)[0], context, exchange.limit_s)
    except (OSError, ServerUnusable) as error:
        exchange.ending = Ending(NOT_CONNECTED, reason(error))
    else:
        with sock:
            exchange.stamps.connected = True
            exchange.ending = _talk(sock, data, _Answer(exchange), first_wait_s(body), deadline)
    exchange.stamps.end_ns = time.monotonic_ns()


def _talk(
    sock: socket.socket, data: bytes, answer: _Answer, first_s: float | None, deadline: float
) -> Ending:
    """Send; wait for an answer; where none comes in time, close our half and wait once more."""
    try:
        _send(sock, data, answer.exchange, deadline)
        until = deadline if first_s is None else min(deadline, time.monotonic() + first_s)
        ending = _read(sock, answer, until, deadline)
        if ending is None and answer.silent:
            _halve(sock)
            until = time.monotonic() + min(LAST_WAIT_S, answer.exchange.limit_s)
            ending = _read(sock, answer, until, max(until, deadline))
    except OSError as error:
        return answer.ending or Ending(CONNECTION_RESET, reason(error))
    return ending or Ending(TIME_LIMIT, answer.missing)


def _send(sock: socket.socket, data: bytes, exchange: Exchange, deadline: float) -> None:
    """Send all that the server takes: one that refuses the head may close before the body."""
    sock.settimeout(max(0.001, deadline - time.monotonic()))
    exchange.stamps.sending_ns = time.monotonic_ns()
    with contextlib.suppress(OSError):
        sock.sendall(data)
        exchange.stamps.sent_ns = time.monotonic_ns()


def _halve(sock: socket.socket) -> None:
    """Say that no more is coming, and go on listening."""
    with contextlib.suppress(OSError):
        if isinstance(sock, ssl.SSLSocket):
            sock.setblocking(False)  # TLS's farewell is sent; that of the server is not waited for
            sock.unwrap()
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_WR)  # an SSLSocket's own would forget to decrypt


def _read(sock: socket.socket, answer: _Answer, first_until: float, until: float) -> Ending | None:
    """Take the answer; None = its first byte or its last did not come in time."""
    while answer.ending is None:
        left_s = (first_until if answer.silent else until) - time.monotonic()
        if left_s <= 0:
            return None
        sock.settimeout(left_s)
        try:
            data = sock.recv(_READ_BYTES)
        except TimeoutError:
            continue
        if not data:
            return answer.closed()
        answer.feed(data)
    return answer.ending


class _Answer:
    """The first answer of a connection, told to an exchange as it comes. Mutable; httptools calls it."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.ending: Ending | None = None
        self.silent = True
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0

    @property
    def missing(self) -> str:
        """What did not come in time."""
        if self.silent:
            return (
                "neither an answer nor the end of the connection, though it was told that no more is coming"
            )
        return f"the answer has not ended within {self.exchange.limit_s:g} s"

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        if self.silent:
            self.silent, self.exchange.stamps.first_byte_ns = False, time.monotonic_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.ending = self.ending or Ending(NOT_HTTP, f"not HTTP: {error}")
        self._head_bytes += len(data)
        if self.exchange.status is None and self.ending is None and self._head_bytes > _LONGEST_HEAD:
            self.ending = Ending(NOT_HTTP, f"not HTTP: a header longer than {_LONGEST_HEAD} bytes")

    def closed(self) -> Ending:
        """How it ended, now that the server has closed the connection."""
        framed = any(name in _OWN for name, _ in self._headers)
        if self.exchange.status is not None and not framed:
            return Ending(COMPLETE)  # a body without length or chunks ends with the connection
        return Ending(CLOSED_EARLY, "the server closed the connection")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser callback."""
        if self.ending is None:
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Parser callback."""
        if self.ending is None and (status := self._parser.get_status_code()) >= 200:
            self.exchange.status = status
            self.exchange.sink.begin(status, self._headers)
            self.ending = Ending(COMPLETE) if self.exchange.request.method == "HEAD" else None

    def on_body(self, body: bytes) -> None:
        """Parser callback."""
        if self.ending is None:
            self.exchange.sink.feed(time.monotonic_ns(), body)

    def on_message_complete(self) -> None:
        """Parser callback. What comes behind the answer belongs to the bytes behind the request."""
        if self.exchange.status is None:  # 100 Continue, 103 Early Hints
            self._headers = []
        elif self.ending is None:
            self.ending = Ending(COMPLETE)

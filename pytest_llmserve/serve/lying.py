"""Sends a body whose head lies about its length, and takes what comes, over a connection of its own.

A server that waits for the rest would wait for ever: nothing more is coming, and after a short while it is
told so by closing our half of the connection.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import time
from typing import Any

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
from pytest_llmserve.serve.exchange import Exchange, merged_headers
from pytest_llmserve.serve.faults import NOT_CONNECTED, reason

FIRST_WAIT_S, UNCLEAR_WAIT_S = 0.25, 1.0
"""So long may a server be silent to a head that promises more, and to one that it may read as it likes."""
LAST_WAIT_S = 2.0
"""And so long to answer or to close, once it knows that no more is coming."""
_READ_BYTES = 65_536
_CLOSED = "the server closed the connection"
_SILENT = "neither an answer nor the end of the connection, though it was told that no more is coming"
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
            first_s = first_wait_s(body)
            left_s = deadline - time.monotonic()
            first_until = deadline if first_s is None else time.monotonic() + min(first_s, left_s / 2)
            exchange.ending = _talk(_Heard(sock, exchange, first_until, deadline), data)
    exchange.stamps.end_ns = time.monotonic_ns()


def _talk(heard: _Heard, data: bytes) -> Ending:
    """Send; wait for an answer; where none comes in time, close our half and wait once more."""
    exchange = heard.exchange
    reader = _Reader(heard)
    try:
        _send(heard, data)
        try:
            answer = _begun(reader, exchange.request.method)
        except TimeoutError:
            if not heard.silent or heard.too_late:
                raise
            _halve(heard.sock)
            heard.wait_again(LAST_WAIT_S)
            answer = _begun(reader, exchange.request.method)
        if heard.ended:  # within the head, which http.client takes for whole
            return Ending(CLOSED_EARLY, _CLOSED)
        exchange.status = answer.status
        exchange.sink.begin(answer.status, [(name.lower(), value) for name, value in answer.getheaders()])
        return _body(answer, exchange)
    except (http.client.RemoteDisconnected, http.client.IncompleteRead):
        return Ending(CLOSED_EARLY, _CLOSED)
    except http.client.HTTPException as error:
        return Ending(NOT_HTTP, f"not HTTP: {error}")
    except TimeoutError:
        return Ending(TIME_LIMIT, heard.missing)
    except OSError as error:
        return Ending(CONNECTION_RESET, reason(error))


def _send(heard: _Heard, data: bytes) -> None:
    """Send all that the server takes: one that refuses the head may close before the body."""
    stamps = heard.exchange.stamps
    heard.sock.settimeout(max(0.001, heard.until - time.monotonic()))
    stamps.sending_ns = time.monotonic_ns()
    with contextlib.suppress(OSError):
        heard.sock.sendall(data)
        stamps.sent_ns = time.monotonic_ns()


def _halve(sock: socket.socket) -> None:
    """Say that no more is coming, and go on listening.

    Over TLS without its farewell, so to most servers the connection is broken, and they close their half:
    Python's `unwrap` sends one, but drops an answer that comes at once.
    """
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_WR)  # an SSLSocket's own would forget to decrypt


def _begun(reader: _Reader, method: str) -> http.client.HTTPResponse:
    """The head of the answer, behind those that only announce it: 100 Continue, 103 Early Hints."""
    while True:
        answer = http.client.HTTPResponse(reader, method=method)  # type: ignore[arg-type]
        try:
            answer.begin()
        except BaseException:
            answer.fp = None  # type: ignore[assignment]
            raise
        if answer.status >= 200:
            return answer
        answer.fp = None  # type: ignore[assignment]


def _body(answer: http.client.HTTPResponse, exchange: Exchange) -> Ending:
    """Hand on the body; what comes behind it belongs to the bytes behind the request."""
    left = answer.length
    while left is None or left > 0:
        data = answer.read1(_READ_BYTES if left is None else min(left, _READ_BYTES))
        if not data:
            return Ending(COMPLETE) if left is None else Ending(CLOSED_EARLY, _CLOSED)
        exchange.sink.feed(time.monotonic_ns(), data)
        left = None if left is None else left - len(data)
    return Ending(COMPLETE)


class _Heard(io.RawIOBase):
    """What comes from a server, each byte by its deadline. Mutable.

    Attributes:
        silent: not a byte has come.
        told: the server, that no more is coming.
        ended: the server has closed the connection.
        until: for all of it, monotonic clock, seconds.
    """

    def __init__(self, sock: socket.socket, exchange: Exchange, first_until: float, until: float) -> None:
        self.sock, self.exchange = sock, exchange
        self._first_until, self.until = first_until, until
        self.silent, self.told, self.ended = True, False, False

    @property
    def too_late(self) -> bool:
        """The time for all of it is over."""
        return time.monotonic() >= self.until

    @property
    def missing(self) -> str:
        """What did not come in time."""
        if self.silent and self.told:
            return _SILENT
        return (
            f"{'no answer' if self.silent else 'the answer has not ended'} within {self.exchange.limit_s:g} s"
        )

    def wait_again(self, first_s: float) -> None:
        """The server has been told; wait so long for a first byte, from now on."""
        self.told, self._first_until = True, min(self.until, time.monotonic() + first_s)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for the next bytes; raises TimeoutError."""
        left_s = (self._first_until if self.silent else self.until) - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self.sock.settimeout(left_s)
        count = self.sock.recv_into(buffer)
        self.ended = not count
        if count and self.silent:
            self.silent, self.exchange.stamps.first_byte_ns = False, time.monotonic_ns()
        return count


class _Reader:
    """Stands where http.client wants a socket: several heads are read from one buffer."""

    def __init__(self, heard: _Heard) -> None:
        self._file = io.BufferedReader(heard)

    def makefile(self, mode: str) -> io.BufferedReader[_Heard]:  # noqa: ARG002 - http.client's signature
        """The one buffer."""
        return self._file

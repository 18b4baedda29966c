"""Clients that vanish: a socket each, closed or reset at a chosen moment."""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence

import msgspec

from pytest_llmserve.dialects import dialect
from pytest_llmserve.domain.addresses import Address, addresses_of
from pytest_llmserve.domain.disconnects import (
    ANSWERED,
    BEFORE_FIRST_TOKEN,
    LEFT,
    MID_STREAM,
    MID_UPLOAD,
    NO_CONNECTION,
    RST,
    SILENT,
    Visit,
)
from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.target import Target
from pytest_llmserve.serve.exact import connected, context_of, request_bytes
from pytest_llmserve.serve.exchange import ORDER_BYTES
from pytest_llmserve.serve.faults import reason
from pytest_llmserve.serve.redact import redact

_AFTER_SILENCE_S = 1.0
"""Once one client has waited in vain, those after it wait no longer than this."""
_JOIN_S = 0.2
_READ_BYTES = 65_536
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close sends RST, socket(7)


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """What one client does.

    Attributes:
        number: from 1.
        where, by: it leaves, words of `domain.disconnects`.
        request: what it sends, or half of it in mid-upload.
        delay_s: from the send to its leaving; in mid-stream it leaves at a piece of the answer instead.
        pieces: of the answer's text that it takes before it leaves, in mid-stream.
    """

    number: int
    where: str
    by: str
    request: HttpRequest
    delay_s: float = 0.0
    pieces: int = 1


def leave(
    target: Target,
    leavings: Sequence[Leaving],
    users: int,
    limit_s: float,
    visits: list[Visit] | None = None,
) -> list[Visit]:
    """Let clients come and leave, `users` of them at a time; Ctrl-C ends them all.

    Args:
        target: the server.
        leavings: what each of them does.
        users: at the same time.
        limit_s: longest wait for the piece of an answer at which one leaves.
        visits: filled on the way, for who is interrupted.

    Raises:
        SetupError: a request cannot be sent as HTTP.
        ServerUnusable: the host's name is not known.
    """
    crowd = _Crowd(target, leavings, limit_s, [] if visits is None else visits)
    threads = [
        threading.Thread(target=crowd.work, name="llmserve-leaving", daemon=True) for _ in range(users)
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(_JOIN_S)
    finally:
        crowd.end()
    return crowd.result()


class _Crowd:
    """The clients of one call, shared by its threads. Mutable: what is still to do, and what came of it."""

    def __init__(
        self, target: Target, leavings: Sequence[Leaving], limit_s: float, visits: list[Visit]
    ) -> None:
        self._target, self._limit_s = target, limit_s
        self._dialect = dialect(target.api)
        self._address: Address = addresses_of(target)[0]
        self._context = context_of(target)
        self._to_do: queue.SimpleQueue[tuple[Leaving, bytes, bytes]] = queue.SimpleQueue()
        for leaving in leavings:
            self._to_do.put((leaving, *request_bytes(target, leaving.request)))
        self._stop = threading.Event()
        self._open: set[socket.socket] = set()
        self._visits = visits
        self._fault: BaseException | None = None

    def work(self) -> None:
        """One client after the other, until none is left. Runs in a thread of its own."""
        with contextlib.suppress(queue.Empty):
            while not self._stop.is_set():
                leaving, head, body = self._to_do.get_nowait()
                try:
                    came, error = self._visit(leaving, head, body)
                except Exception as fault:  # for the thread that waits, as this one has no one to raise to
                    self._fault = fault
                    self._stop.set()
                    return
                self._note(leaving, came, error)

    def end(self) -> None:
        """Nobody else comes; who waits is woken."""
        self._stop.set()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def result(self) -> list[Visit]:
        """All visits in their order; raises what one of them raised that is not the server's fault."""
        if self._fault is not None:
            raise self._fault
        return sorted(self._visits, key=lambda visit: visit.number)

    def _note(self, leaving: Leaving, came: str, error: str | None) -> None:
        if came == SILENT:
            self._limit_s = min(self._limit_s, _AFTER_SILENCE_S)
        error = None if error is None else redact(error, self._target)
        visit = Visit(number=leaving.number, where=leaving.where, by=leaving.by, came=came, error=error)
        self._visits.append(visit)

    def _visit(self, leaving: Leaving, head: bytes, body: bytes) -> tuple[str, str | None]:
        """(what came of it, what was wrong)."""
        try:
            sock = connected(self._target, self._address, self._context, self._limit_s)
        except OSError as error:
            return NO_CONNECTION, reason(error)
        try:
            with self._leaving(sock, leaving.by):
                sock.settimeout(self._limit_s)
                sock.sendall(head + (body[: len(body) // 2] if leaving.where == MID_UPLOAD else body))
                if leaving.where == MID_UPLOAD or not self._dialect.two_steps:
                    return self._stay(sock, leaving, time.monotonic())
                return self._order(sock, leaving, time.monotonic())
        except TimeoutError:
            return SILENT, f"not a byte more within {self._limit_s:g} s"
        except (OSError, http.client.HTTPException) as error:
            return SILENT, reason(error)

    def _order(self, sock: socket.socket, leaving: Leaving, sent_s: float) -> tuple[str, str | None]:
        """Ask for the answer that was ordered, and leave that; or leave before, when it is time.

        Over another connection, as most clients of such an API do: the first may have been closed by now.
        """
        early = leaving.where == BEFORE_FIRST_TOKEN
        sock.settimeout(min(self._limit_s, max(leaving.delay_s, 0.001)) if early else self._limit_s)
        try:
            status, body = _whole(sock, time.monotonic() + self._limit_s)
        except TimeoutError:
            if early:
                return LEFT, None
            raise
        following = self._dialect.next_request(self._target, leaving.request.path, status, body)
        if following is None:
            return ANSWERED, f"status {status}" if status >= 400 else None
        again = connected(self._target, self._address, self._context, self._limit_s)
        with self._leaving(again, leaving.by):
            again.settimeout(self._limit_s)
            again.sendall(b"".join(request_bytes(self._target, following)))
            return self._stay(again, leaving, sent_s, following.method)

    def _stay(
        self, sock: socket.socket, leaving: Leaving, sent_s: float, method: str = "POST"
    ) -> tuple[str, str | None]:
        """Wait until it is time to leave, counted from the first send, or for a piece of the answer."""
        if leaving.where == MID_STREAM:
            return self._read(sock, leaving, method)
        self._stop.wait(max(0.0, sent_s + leaving.delay_s - time.monotonic()))
        return LEFT, None

    @contextlib.contextmanager
    def _leaving(self, sock: socket.socket, by: str) -> Iterator[None]:
        """Closes the connection in its own way, without TLS's farewell, as a client that vanishes does."""
        self._open.add(sock)
        try:
            if by == RST:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            yield
        finally:
            self._open.discard(sock)
            sock.close()

    def _read(self, sock: socket.socket, leaving: Leaving, method: str) -> tuple[str, str | None]:
        """Take the answer up to the piece at which the client leaves."""
        deadline = time.monotonic() + self._limit_s
        answer = http.client.HTTPResponse(sock, method=method)
        try:
            answer.begin()
            headers = [(name.lower(), value) for name, value in answer.getheaders()]
            decoder = self._dialect.decoder(self._target, answer.status, headers)
            pieces = 0
            while data := answer.read1(_READ_BYTES):
                pieces += bool(decoder.feed(time.monotonic_ns(), data))
                if pieces >= leaving.pieces or (pieces and time.monotonic() > deadline):
                    return LEFT, None
                if time.monotonic() > deadline:
                    return SILENT, f"no text within {self._limit_s:g} s"
        finally:
            answer.close()  # it holds the socket open too
        return ANSWERED, f"status {answer.status}" if answer.status >= 400 else None


def _whole(sock: socket.socket, deadline: float) -> tuple[int, bytes]:
    """(status, body) of an answer that is read to its end, or until it is too long to be an order.

    Raises:
        TimeoutError: it has not ended by the deadline (monotonic clock, seconds).
    """
    answer = http.client.HTTPResponse(sock, method="POST")
    body = b""
    try:
        answer.begin()
        while len(body) <= ORDER_BYTES and (data := answer.read1(_READ_BYTES)):
            body += data
            if time.monotonic() > deadline:
                raise TimeoutError
        return answer.status, body
    finally:
        answer.close()

"""Carries requests over sockets, one connection a user, and says how each ended.

Acts on the state of `Connection`; what the bytes mean is decided in `http`.
"""

from __future__ import annotations

import os
import ssl
import time
from collections import deque
from typing import Protocol

from pytest_llmserve.domain.exchange import CLOSED_EARLY, CONNECTION_RESET, TIME_LIMIT, Ending
from pytest_llmserve.domain.units import duration_text
from pytest_llmserve.load import connection as wire
from pytest_llmserve.load.clock import clock_offset
from pytest_llmserve.load.connection import Connection, Tls
from pytest_llmserve.load.flight import NO_CONNECTION, Flight, complete_or
from pytest_llmserve.load.health import Lateness
from pytest_llmserve.load.http import Answer
from pytest_llmserve.load.job import Job
from pytest_llmserve.load.poller import IN, OUT, Poller

monotonic_ns = time.monotonic_ns

# A send that takes longer than this was interrupted by the scheduler; the bytes left at its beginning.
_SEND_CALL_NS = 200_000


class User:
    """One user of the closed loop: at most one request under way, one connection kept."""

    __slots__ = ("connection", "failures", "flight", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.connection: Connection | None = None
        self.flight: Flight | None = None
        self.failures = 0


class Landing(Protocol):
    """What is called when a request is over; the user's flight is still set."""

    def __call__(self, user: User, answer: Answer | None, ending: Ending, end_ns: int) -> None: ...


class Transport:
    """The sockets of one worker.

    Attributes:
        send_lag, receive_lag: our own delays.
        stamped, unstamped: reads with and without a kernel stamp.
        reopened: connections the server closed while idle, opened again.
        heard_ns: when the server last sent anything.
    """

    def __init__(self, job: Job, landed: Landing, control_fd: int | None) -> None:
        self._job = job
        self._landed = landed
        self._poller = Poller()
        self._control_fd = control_fd
        if control_fd is not None:
            self._poller.register(control_fd, IN)
        self._connections: dict[int, Connection] = {}
        self._limits: deque[tuple[int, Connection, Flight]] = deque()
        self._connect_limits: deque[tuple[int, Connection]] = deque()
        self._offset = clock_offset()
        self._tls = ssl.create_default_context() if job.target.scheme == "https" else None
        self.send_lag, self.receive_lag = Lateness(), Lateness()
        self.stamped = self.unstamped = self.reopened = self.heard_ns = 0

    # -- for the loop --------------------------------------------------------------------------

    def carry(self, user: User) -> None:
        """Send the user's flight, over its kept connection if that still stands."""
        connection = user.connection
        if connection is None:
            self._connect(user)
        elif connection.usable():
            self._send(connection)
        else:
            self._reopen(user)

    def wait(self, timeout_s: float) -> tuple[bool, bool]:
        """Wait for sockets and act on them; return (any was ready, the control pipe was)."""
        ready = self._poller.wait(timeout_s)
        if not ready:
            return False, False
        self._offset = clock_offset(self._offset)
        told = False
        for fd, mask in ready:
            connection = self._connections.get(fd)
            if connection is None:
                told = told or fd == self._control_fd
            elif connection.state is wire.RECEIVING:
                self._receive(connection)
            else:
                self._progress(connection, mask)
        return True, told

    def next_limit_ns(self) -> int | None:
        """The next instant at which a request or connection may run out of time."""
        due = [queue[0][0] for queue in (self._limits, self._connect_limits) if queue]
        return min(due) if due else None

    def expire(self, now_ns: int) -> None:
        """End what has run out of time."""
        while self._limits and self._limits[0][0] <= now_ns:
            _, connection, flight = self._limits.popleft()
            if connection.user.flight is flight and connection.user.connection is connection:
                limit = duration_text(self._job.plan.timeout_ns)
                self._land(connection.user, Ending(TIME_LIMIT, f"no full answer within {limit}"), now_ns)
        while self._connect_limits and self._connect_limits[0][0] <= now_ns:
            connection = self._connect_limits.popleft()[1]
            if connection.state in {wire.CONNECTING, wire.HANDSHAKE}:
                limit = duration_text(self._job.plan.connect_timeout_ns)
                self._no_connection(connection, f"no connection within {limit}")

    def under_way(self) -> int:
        """Requests that are with the server now."""
        return sum(1 for c in self._connections.values() if c.state in {wire.SENDING, wire.RECEIVING})

    def close(self) -> None:
        """Close every socket."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._poller.close()

    # -- connecting ----------------------------------------------------------------------------

    def _connect(self, user: User) -> None:
        tls = Tls(self._tls, self._job.target.host) if self._tls is not None else None
        try:
            connection = Connection(self._job.address, tls, user)
        except OSError as error:
            if error.errno in wire.OURS:
                raise
            ending = Ending(NO_CONNECTION, error.strerror or str(error))
            self._landed(user, None, ending, monotonic_ns())
            return
        user.connection = connection
        self._connections[connection.fd] = connection
        self._poller.register(connection.fd, OUT)
        self._connect_limits.append((monotonic_ns() + self._job.plan.connect_timeout_ns, connection))

    def _reopen(self, user: User) -> None:
        self.reopened += 1
        assert user.connection is not None
        self._drop(user.connection)
        self._connect(user)

    def _progress(self, connection: Connection, mask: int) -> None:
        """A socket is ready that is not simply receiving."""
        if connection.state is wire.CONNECTING:
            code = connection.connect_error()
            if code:
                self._no_connection(connection, os.strerror(code))
            elif connection.tls is None:
                self._connected(connection)
            else:
                connection.state = wire.HANDSHAKE
                self._poller.modify(connection.fd, IN)
                self._shake_hands(connection, b"")
        elif connection.state is wire.HANDSHAKE:
            self._read_handshake(connection)
        elif connection.state is wire.SENDING:
            self._resume_sending(connection, mask)
        elif connection.state is wire.IDLE:  # closed by the server, or bytes nobody asked for
            self.reopened += 1
            self._drop(connection)

    def _no_connection(self, connection: Connection, why: str) -> None:
        self._land(connection.user, Ending(NO_CONNECTION, why), monotonic_ns())

    def _connected(self, connection: Connection) -> None:
        connection.ready_ns = monotonic_ns()
        self._send(connection)

    def _read_handshake(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(wire.READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._no_connection(connection, f"TLS handshake: {error.strerror}")
            return
        if data:
            self._shake_hands(connection, data)
        else:
            self._no_connection(connection, "TLS handshake: the server closed the connection")

    def _shake_hands(self, connection: Connection, data: bytes) -> None:
        assert connection.tls is not None
        try:
            done, out = connection.tls.handshake(data)
            if out:
                connection.sock.sendall(out)
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or str(error)
            self._no_connection(connection, f"TLS handshake: {reason}")
            return
        except OSError as error:
            self._no_connection(connection, f"TLS handshake: {error.strerror}")
            return
        if done:
            self._connected(connection)

    # -- requests ------------------------------------------------------------------------------

    def _send(self, connection: Connection) -> None:
        flight = connection.user.flight
        assert flight is not None
        connection.answer = Answer()
        connection.state = wire.SENDING
        data = flight.raw if connection.tls is None else connection.tls.encrypt(flight.raw)
        before_ns = monotonic_ns()
        self.send_lag.add(before_ns - max(flight.scheduled_ns, connection.ready_ns))
        self._limits.append((before_ns + self._job.plan.timeout_ns, connection, flight))
        try:
            whole = connection.send(data)
        except OSError as error:
            self._lost(connection, error)
            return
        if whole:
            self._sent(connection, before_ns)
        else:
            self._poller.modify(connection.fd, IN | OUT)

    def _resume_sending(self, connection: Connection, mask: int) -> None:
        if mask & ~OUT:  # an answer before the request is whole, or an end
            self._receive(connection)
        if mask & OUT and connection.state is wire.SENDING:
            before_ns = monotonic_ns()
            try:
                whole = connection.flush()
            except OSError as error:
                self._lost(connection, error)
                return
            if whole:
                self._sent(connection, before_ns)

    def _sent(self, connection: Connection, before_ns: int) -> None:
        flight = connection.user.flight
        assert flight is not None
        flight.sent_ns = min(monotonic_ns(), before_ns + _SEND_CALL_NS)
        connection.state = wire.RECEIVING
        self._poller.modify(connection.fd, IN)

    def _receive(self, connection: Connection) -> None:
        try:
            data, ancillary, _, _ = connection.recvmsg(wire.READ_BYTES, wire.STAMP_ROOM)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(connection, error)
            return
        now_ns = monotonic_ns()
        if not data:
            self._closed(connection, now_ns)
            return
        if ancillary:
            seconds, nanoseconds = wire.unpack_stamp(ancillary[0][2])
            stamp_ns = min(seconds * 1_000_000_000 + nanoseconds - self._offset, now_ns)
            self.stamped += 1
        else:
            stamp_ns = now_ns
            self.unstamped += 1
        self.receive_lag.add(now_ns - stamp_ns)
        self.heard_ns = now_ns
        if connection.tls is not None:
            self._receive_tls(connection, stamp_ns, data)
            return
        answer = connection.answer
        answer.feed(stamp_ns, data)  # type: ignore[union-attr]  # receiving means there is one
        if answer.complete or answer.broken is not None:  # type: ignore[union-attr]
            self._answered(connection, stamp_ns)

    def _receive_tls(self, connection: Connection, stamp_ns: int, data: bytes) -> None:
        assert connection.tls is not None
        assert connection.answer is not None
        try:
            plain, closed = connection.tls.decrypt(data)
        except ssl.SSLError as error:
            self._land(connection.user, Ending(CONNECTION_RESET, f"TLS: {error.reason or error}"), stamp_ns)
            return
        if plain:
            connection.answer.feed(stamp_ns, plain)
        if connection.answer.ending() is not None:
            self._answered(connection, stamp_ns)
        elif closed:
            self._closed(connection, stamp_ns)

    # -- ends ----------------------------------------------------------------------------------

    def _answered(self, connection: Connection, end_ns: int) -> None:
        """The answer has ended by its own framing, or is no HTTP."""
        answer = connection.answer
        assert answer is not None
        ending = answer.ending()
        assert ending is not None
        whole = connection.state is wire.RECEIVING  # else the request was never read to its end
        self._land(connection.user, ending, end_ns, keep=answer.keep_alive and not answer.broken and whole)

    def _closed(self, connection: Connection, now_ns: int) -> None:
        answer = connection.answer
        if self._closed_while_idle(connection):
            return
        assert answer is not None
        ending = answer.closed()
        last_ns = answer.stamps[-1] if ending.how != CLOSED_EARLY and answer.stamps else now_ns
        self._land(connection.user, ending, last_ns)

    def _lost(self, connection: Connection, error: OSError) -> None:
        if self._closed_while_idle(connection):
            return
        ending = Ending(CONNECTION_RESET, error.strerror or str(error))
        self._land(connection.user, complete_or(connection.answer, ending), monotonic_ns())

    def _closed_while_idle(self, connection: Connection) -> bool:
        """The server closed a kept connection before it read the request: no fault, send it again.

        Only on a connection that has served before, only before the first byte of an
        answer, and only once: a fresh connection that breaks is a reset.
        """
        user, answer = connection.user, connection.answer
        flight = user.flight
        untouched = answer is None or answer.first_byte_ns is None
        if flight is None or flight.resent or not connection.served or not untouched:
            return False
        flight.resent, flight.sent_ns = True, None
        self._reopen(user)
        return True

    def _land(self, user: User, ending: Ending, end_ns: int, keep: bool = False) -> None:
        """A user's request is over; `keep` its connection for the next."""
        connection = user.connection
        assert connection is not None
        answer = connection.take_answer()
        if keep:
            connection.state = wire.IDLE
            connection.served += 1
        else:
            self._drop(connection)
        self._landed(user, answer, ending, end_ns)

    def _drop(self, connection: Connection) -> None:
        """Close a connection; its user will open another when it needs one."""
        self._connections.pop(connection.fd, None)
        connection.user.connection = None
        connection.take_answer()
        connection.close()

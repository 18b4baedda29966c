"""Opens connections: connect, TLS handshake, time limit."""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.replicas import replicas_of, servers_of
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.trust import tls_context, tls_fault
from pytest_llmserve.domain.units import duration_text
from pytest_llmserve.load import connection as wire
from pytest_llmserve.load.connection import Connection, User
from pytest_llmserve.load.job import Job
from pytest_llmserve.load.poller import IN, OUT, Poller

if TYPE_CHECKING:
    from pytest_llmserve.load.tls import Tls


class Dialler:
    """Carries a connection from its first packet to where it can take a request.

    Args:
        job: the addresses, and the limit of an attempt.
        poller: told of each new socket.
        connections: every open connection by its descriptor; a new one is added.
        connected: called with a connection that stands, if its user has a flight; else it is idle.
        failed: called with a user and a sentence when there will be none.
    """

    def __init__(
        self,
        job: Job,
        poller: Poller,
        connections: dict[int, Connection],
        connected: Callable[[Connection], None],
        failed: Callable[[User, str], None],
    ) -> None:
        self._job = job
        self._poller = poller
        self._connections = connections
        self._connected = connected
        self._failed = failed
        self._limits: deque[tuple[int, Connection]] = deque()
        self._addresses = (job.address, *job.others)
        self._new_tls = [_tls_sessions(target) for target in servers_of(replicas_of(job.target))]

    def dial(self, user: User) -> None:
        """Begin to connect, to the server that the user speaks to.

        Raises:
            GeneratorError: this machine has no socket or port left.
        """
        try:
            connection = Connection(self._addresses[user.server], self._new_tls[user.server](), user)
        except OSError as error:
            if error.errno in wire.OURS:
                raise GeneratorError(out_of_sockets(len(self._connections), error)) from None
            self._failed(user, error.strerror or str(error))
            return
        user.connection = connection
        self._connections[connection.fd] = connection
        self._poller.register(connection.fd, OUT)
        connection.interest = OUT
        self._limits.append((connection.opened_ns + self._job.plan.connect_timeout_ns, connection))
        # Else each connection would be kept, closed or not, until its limit is due.
        while self._limits[0][1].state not in {wire.CONNECTING, wire.HANDSHAKE}:
            self._limits.popleft()

    def progress(self, connection: Connection) -> None:
        """The socket of a connection that does not stand yet is ready."""
        if connection.state is wire.HANDSHAKE:
            self._read_handshake(connection)
            return
        code = connection.connect_error()
        if code:
            self._failed(connection.user, os.strerror(code))
        elif connection.tls is None:
            self._stands(connection)
        else:
            connection.state = wire.HANDSHAKE
            self._poller.modify(connection.fd, IN)
            connection.interest = IN
            self._shake_hands(connection, connection.tls, b"")

    def next_limit_ns(self) -> int | None:
        """The next instant at which an attempt may run out of time."""
        return self._limits[0][0] if self._limits else None

    def expire(self, now_ns: int) -> None:
        """Give up the attempts that have run out of time."""
        while self._limits and self._limits[0][0] <= now_ns:
            connection = self._limits.popleft()[1]
            limit = duration_text(self._job.plan.connect_timeout_ns)
            if connection.state is wire.CONNECTING:
                self._failed(connection.user, f"no connection within {limit}")
            elif connection.state is wire.HANDSHAKE:
                self._failed(connection.user, f"TLS handshake: not done within {limit} of connecting")

    def _stands(self, connection: Connection) -> None:
        connection.ready_ns = time.monotonic_ns()
        if connection.user.flight is not None:
            self._connected(connection)
            return
        connection.state = wire.IDLE
        connection.served += 1  # from now on the server may close it as it may any idle one
        self._poller.modify(connection.fd, IN)
        connection.interest = IN

    def _read_handshake(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(wire.READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._failed(connection.user, f"TLS handshake: {error.strerror}")
            return
        if not data:
            self._failed(connection.user, "TLS handshake: the server closed the connection")
        elif connection.tls is not None:
            self._shake_hands(connection, connection.tls, data)

    def _shake_hands(self, connection: Connection, tls: Tls, data: bytes) -> None:
        try:
            done, out = tls.handshake(data)
        except OSError as error:  # an ssl.SSLError: no socket is touched
            self._failed(connection.user, f"TLS handshake: {tls_fault(error)}")
            return
        try:
            if out:
                connection.sock.sendall(out)  # a few hundred bytes: a fresh socket takes them at once
        except OSError as error:
            self._failed(connection.user, f"TLS handshake: {error.strerror}")
            return
        if done:
            self._stands(connection)


def _tls_sessions(target: Target) -> Callable[[], Tls | None]:
    if target.scheme != "https":
        return lambda: None
    from pytest_llmserve.load.tls import Tls  # with ssl, which takes a tenth of a worker's start

    context = tls_context(target.trust)
    return lambda: Tls(context, target.server_name)


def out_of_sockets(opened: int, error: OSError) -> str:
    """The sentence for a machine that gives no further socket."""
    way_out = "raise the limit of open files (ulimit -n), or test with fewer users"
    if error.errno == errno.EADDRNOTAVAIL:
        way_out = (
            "its ports are used up by closed connections: send fewer requests, or let the server keep them"
        )
    return f"this machine gives no socket beside {opened} open ones ({error.strerror or error}): {way_out}"

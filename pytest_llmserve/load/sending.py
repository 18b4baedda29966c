"""Puts requests on their connections, whole or as far as a socket takes them."""

from __future__ import annotations

import time

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.load import connection as wire
from pytest_llmserve.load.connection import Connection, User
from pytest_llmserve.load.health import Lateness
from pytest_llmserve.load.http import Answer
from pytest_llmserve.load.limits import Limits
from pytest_llmserve.load.poller import IN, OUT, Poller

monotonic_ns = time.monotonic_ns

# A send that takes longer than this was interrupted by the scheduler; the bytes left at its beginning.
_SEND_CALL_NS = 50_000


class Sender:
    """Sends the flights of users over connections that stand.

    Args:
        plan: with the longest a request may take.
        poller: told what to watch a connection for.
        answering: gets the limit of each request.
        send_lag: gets our own delays.
    """

    def __init__(self, plan: LoadPlan, poller: Poller, answering: Limits[User], send_lag: Lateness) -> None:
        self._timeout_ns = plan.timeout_ns
        self._poller = poller
        self._answering = answering
        self._send_lag = send_lag

    def send(self, connection: Connection) -> None:
        """Send the flight of a connection's user; what the socket does not take waits for `resume`."""
        user = connection.user
        flight = user.flight
        assert flight is not None
        connection.answer = Answer()
        connection.state = wire.SENDING
        data = flight.raw if connection.tls is None else connection.tls.encrypt(flight.raw)
        connection.heard_ns = flight.sending_ns = before_ns = monotonic_ns()
        if not flight.opens:
            self._send_lag.add(connection.delay_ns(flight, before_ns))
        begun_ns = flight.limit_from_ns(before_ns) if flight.steps else before_ns
        self._answering.set(user, begun_ns + _SEND_CALL_NS + self._timeout_ns)  # never less than said
        try:
            whole = connection.send(data)
        except OSError:
            self._watch(connection, IN)
            return
        if whole:
            self._sent(connection, before_ns)
        else:
            self._watch(connection, IN | OUT)

    def resume(self, connection: Connection) -> None:
        """The socket takes more."""
        before_ns = monotonic_ns()
        try:
            whole = connection.flush()
        except OSError:
            # The server may have said why before it closed: read on, to the answer or the end.
            self._watch(connection, IN)
            return
        if whole:
            self._sent(connection, before_ns)

    def _sent(self, connection: Connection, before_ns: int) -> None:
        flight = connection.user.flight
        assert flight is not None
        flight.sent_ns = min(monotonic_ns(), before_ns + _SEND_CALL_NS)
        connection.state = wire.RECEIVING
        self._watch(connection, IN)

    def _watch(self, connection: Connection, interest: int) -> None:
        if connection.interest != interest:  # most requests of a kept connection change nothing
            self._poller.modify(connection.fd, interest)
            connection.interest = interest

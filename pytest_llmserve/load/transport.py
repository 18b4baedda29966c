"""Carries requests over sockets, one connection a user and server, and says how each ended.

Acts on the state of `Connection`; what the bytes mean is decided in `http`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Protocol

from pytest_llmserve.domain.exchange import CLOSED_EARLY, CONNECTION_RESET, TIME_LIMIT, Ending
from pytest_llmserve.domain.replicas import replicas_of
from pytest_llmserve.domain.trust import tls_fault
from pytest_llmserve.domain.units import duration_text
from pytest_llmserve.load import connection as wire
from pytest_llmserve.load.clock import Offset
from pytest_llmserve.load.connection import RECEIVING, STAMP_ROOM, Connection, User, unpack_stamp
from pytest_llmserve.load.dialler import Dialler
from pytest_llmserve.load.flight import NO_CONNECTION, complete_or
from pytest_llmserve.load.health import Lateness
from pytest_llmserve.load.http import Answer
from pytest_llmserve.load.job import Job
from pytest_llmserve.load.limits import Limits
from pytest_llmserve.load.poller import IN, OUT, Poller
from pytest_llmserve.load.sending import Sender
from pytest_llmserve.load.stalls import StallWatch

monotonic_ns = time.monotonic_ns

# A stream is read with others after its first pieces, so that the first token is seen at once; and
# no more once it has shown that its events come faster than that (the last of an answer may).
_FIRST_PIECES, _MERGED = 2, 4
# Longer than this away from the sockets: what they have is read before anything is given up.
_AWAY_NS = 5_000_000
_LOOKS = 8  # each sees a thousand sockets


class Landing(Protocol):
    """What is called when a request is over; the user's flight is still set."""

    def __call__(self, user: User, answer: Answer | None, ending: Ending, end_ns: int) -> None:
        """Take the answer, as far as it came, and how it ended."""


class Transport:
    """The sockets of one worker.

    Attributes:
        send_lag, receive_lag: our own delays.
        stamped, unstamped: reads with and without a kernel stamp.
        merged: pieces that came with another of their answer in one read: they share its stamp.
        reopened: connections the server closed while idle, opened again.
        resent: requests of no warm-up sent again, as the server closed their connection when they were sent.
        heard_ns, answering: when the server last sent anything; when each request with it is out of time.
        protocols: HTTP versions of the answers.
    """

    protocols: AbstractSet[str] = frozenset({"HTTP/1.1"})

    def __init__(self, job: Job, landed: Landing, control_fd: int | None) -> None:
        self._plan = job.plan
        self._stalls = StallWatch(job.plan)
        self._landed = landed
        self._poller = Poller()
        self._poll = self._poller.wait
        self._control_fd = control_fd
        if control_fd is not None:
            self._poller.register(control_fd, IN)
        self._connections: dict[int, Connection] = {}
        self.answering: Limits[User] = Limits()
        self.send_lag, self.receive_lag = Lateness(), Lateness()
        self._sender = Sender(job.plan, self._poller, self.answering, self.send_lag)
        self._send = self._sender.send
        self._dialler = Dialler(job, self._poller, self._connections, self._send, self._no_connection)
        self._several = tuple(each.server for each in replicas_of(job.target)) if job.others else None
        self._offset = Offset()
        self._looked_ns = monotonic_ns()
        self.stamped = self.unstamped = self.reopened = self.resent = self.heard_ns = self.merged = 0

    # -- for the loop --------------------------------------------------------------------------

    def carry(self, user: User) -> None:
        """Send the user's flight, over its kept connection to that server if it still stands."""
        if self._several is not None and user.flight is not None:
            user.turn_to(self._several[user.flight.replica])
        connection = user.connection
        if connection is None:
            self._dialler.dial(user)
        elif connection.state in wire.OPENING:  # sent when it stands
            return
        elif connection.just_idle(self.reopened) or connection.usable():
            self._send(connection)
        else:
            self._reopen(connection)

    def prepare(self, user: User) -> None:
        """Open a connection for a user without a flight; when none can be had, nothing lands."""
        self._dialler.dial(user)

    def wait(self, timeout_s: float) -> tuple[bool, bool]:
        """Wait for sockets and act on them; return (any was ready, the control pipe was)."""
        begun_ns = monotonic_ns()
        away_ns = begun_ns - self._looked_ns  # so long an answer may have lain unread
        ready = self._poll(timeout_s)
        self._looked_ns = now_ns = monotonic_ns()
        overslept_ns = now_ns - begun_ns - int(timeout_s * 1e9)
        if overslept_ns > _AWAY_NS:
            self.receive_lag.add(overslept_ns)
            ready = ready or self._poll(0)  # a process that was stopped is told of nothing
        if not ready:
            return False, False
        self._offset.renew(now_ns)
        told, last = False, 0
        by_fd, read = self._connections.get, self._read
        for fd, mask in ready:
            connection = by_fd(fd)
            if connection is None:
                told = told or fd == self._control_fd
            elif connection.state is RECEIVING:
                last = read(connection) or last
            else:
                self._progress(connection, mask)
        if last:
            # The last one read has waited longest.
            self.heard_ns = now_ns = monotonic_ns()
            self.receive_lag.add(max(away_ns, now_ns - last))
        return True, told

    def next_limit_ns(self) -> int | None:
        """The next instant at which a request or connection may run out of time."""
        due = (self.answering.next_ns(), self._dialler.next_limit_ns(), self._stalls.due_ns)
        return min((at for at in due if at is not None), default=None)

    def expire(self, now_ns: int) -> None:
        """End what has run out of time, when it is not we who are late."""
        if now_ns - self._looked_ns > _AWAY_NS:
            for _ in range(_LOOKS):
                if not self.wait(0)[0]:
                    break
        for user in self.answering.take_due(now_ns):
            limit = duration_text(self._plan.timeout_ns)
            self._land(user, Ending(TIME_LIMIT, f"no full answer within {limit}"), now_ns)
        for user, why in self._stalls.look(now_ns, self._answers):
            self._land(user, Ending(TIME_LIMIT, why), now_ns)
        self._dialler.expire(now_ns)

    def _answers(self) -> Iterator[tuple[User, int | None, Answer]]:
        for connection in self._connections.values():
            user = connection.user
            if connection.answer is not None and user.flight is not None:
                yield user, user.flight.sent_ns, connection.answer

    def under_way(self) -> int:
        """Requests that are with the server now."""
        return sum(1 for c in self._connections.values() if c.state in {wire.SENDING, wire.RECEIVING})

    def close(self) -> None:
        """Close every socket."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._poller.close()

    def _progress(self, connection: Connection, mask: int) -> None:
        """A socket is ready that is not simply receiving."""
        if connection.state is wire.SENDING:
            if mask & ~OUT:  # an answer before the request is whole, or an end
                self._read(connection)
            if mask & OUT and connection.state is wire.SENDING:
                self._sender.resume(connection)
        elif connection.state is wire.IDLE:  # closed by the server, or bytes nobody asked for
            if not connection.only_tickets():
                self.reopened += 1
                self._drop(connection)
        else:
            self._dialler.progress(connection)

    def _reopen(self, connection: Connection) -> None:
        self.reopened += 1
        self._drop(connection)
        self._dialler.dial(connection.user)

    def _no_connection(self, user: User, why: str) -> None:
        if user.flight is not None:
            self._land(user, Ending(NO_CONNECTION, why), monotonic_ns())
        elif user.connection is not None:  # opened ahead of need
            self._drop(user.connection)

    # -- answers -------------------------------------------------------------------------------

    def _read(self, connection: Connection) -> int:
        """Take what one read brings to the answer; return its stamp, 0 without one. Once for each chunk."""
        try:
            data, ancillary, _, _ = connection.recvmsg(connection.room_bytes, STAMP_ROOM)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._lost(connection, error)
            return 0
        now_ns = monotonic_ns()
        if not data:
            self._closed(connection, now_ns)
            return 0
        stamp_ns = now_ns
        if ancillary:
            seconds, nanoseconds = unpack_stamp(ancillary[0][2])
            kernel_ns = seconds * 1_000_000_000 + nanoseconds - self._offset.ns
            if connection.heard_ns <= kernel_ns <= now_ns:  # else the wall clock was set
                stamp_ns = kernel_ns
            self.stamped += 1
        else:
            self.unstamped += 1
        if len(data) == connection.room_bytes:
            connection.room_bytes = wire.MOST_BYTES
        connection.heard_ns = stamp_ns
        answer = connection.answer
        assert answer is not None  # receiving means there is one
        if connection.tls is None:
            answer.feed(stamp_ns, data)
        elif not self._feed_tls(connection, answer, stamp_ns, data):
            return stamp_ns
        if answer.over:
            self._answered(connection, stamp_ns)
        elif connection.patient:
            if answer.merged > _MERGED:
                connection.hurry(self._poller, for_good=True)
        elif ancillary and not connection.hasty and len(answer.pieces) > _FIRST_PIECES:
            connection.rest(self._poller)
        return stamp_ns

    def _feed_tls(self, connection: Connection, answer: Answer, stamp_ns: int, data: bytes) -> bool:
        """Decrypt for the answer; False when that ended it."""
        assert connection.tls is not None
        try:
            plain, closed = connection.tls.decrypt(data)
        except OSError as error:  # an ssl.SSLError: no socket is touched
            self._land(connection.user, Ending(CONNECTION_RESET, f"TLS: {tls_fault(error)}"), stamp_ns)
            return False
        if plain:
            answer.feed(stamp_ns, plain)
        if closed and not answer.over:
            self._closed(connection, stamp_ns)
            return False
        return True

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
        """The server closed before it read the request: no fault, send it again."""
        user = connection.user
        flight = user.flight
        if flight is None or not connection.closed_unread(flight, monotonic_ns()):
            return False
        flight.resent, flight.sent_ns = True, None
        self.resent += not flight.warm_up
        self.answering.drop(user)
        self._reopen(connection)
        return True

    def _land(self, user: User, ending: Ending, end_ns: int, keep: bool = False) -> None:
        """A user's request is over; `keep` its connection for the next."""
        connection, answer = user.connection, None
        self.answering.drop(user)
        if connection is not None:
            answer = connection.take_answer()
            self.merged += 0 if answer is None else answer.merged
            if keep:
                if connection.patient:
                    if answer is not None and answer.first_byte_ns is not None:
                        self._poller.learn(end_ns - answer.first_byte_ns, len(answer.pieces))
                    connection.hurry(self._poller)
                connection.state = wire.IDLE
                connection.idle_ns = end_ns
                connection.served += 1
            else:
                self._drop(connection)
        self._landed(user, answer, ending, end_ns)

    def _drop(self, connection: Connection) -> None:
        """Close a connection; its user will open another when it needs one."""
        if self._connections.pop(connection.fd, None) is not None:
            self._poller.forget(connection.fd)
        connection.user.lose(connection)
        connection.take_answer()
        connection.close()

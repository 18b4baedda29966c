"""One user and its non-blocking socket to the server, plain or TLS."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

from pytest_llmserve.domain.addresses import Address
from pytest_llmserve.load.http import Answer
from pytest_llmserve.load.poller import Poller

if TYPE_CHECKING:
    from pytest_llmserve.load.flight import Flight
    from pytest_llmserve.load.tls import Tls

READ_BYTES = 4096  # an event or a few; the room for them is taken anew at each read
MOST_BYTES = 65536
# asm-generic/socket.h; the socket module does not export it. Linux on x86 and ARM.
SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")
STAMP_ROOM = socket.CMSG_SPACE(_TIMESPEC.size)
unpack_stamp = _TIMESPEC.unpack

_JUST_NS = 3_000_000

CONNECTING = "connecting"
HANDSHAKE = "handshake"
SENDING = "sending"
RECEIVING = "receiving"
IDLE = "idle"
CLOSED = "closed"
OPENING = frozenset({CONNECTING, HANDSHAKE})

# A close that crossed our request on the wire arrives within a round trip of it, and a scheduler's whim.
_CROSSING_NS = 100_000_000
_FAR_CROSSING_NS = 1_000_000_000
"""However long the connection took to open: a handshake may have waited, a round trip does not."""

# Faults of this machine, not of the server.
OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})


class User:
    """One user of the closed loop: at most one request under way, one connection kept to each server.

    Attributes:
        begun: it has sent its first request.
        failures: connection failures in a row.
        server: whom it speaks to now.
        connection: to that one.
        parked: idle ones to other servers, by their numbers.
    """

    __slots__ = ("begun", "connection", "failures", "flight", "number", "parked", "server")

    def __init__(self, number: int, server: int = 0) -> None:
        self.number = number
        self.begun = False
        self.connection: Connection | None = None
        self.flight: Flight | None = None
        self.failures = 0
        self.server = server
        self.parked: dict[int, Connection] = {}

    def turn_to(self, server: int) -> None:
        """Speak to this server from now on."""
        if server == self.server:
            return
        if self.connection is not None:
            self.parked[self.server] = self.connection
        self.connection = self.parked.pop(server, None)
        self.server = server

    def lose(self, connection: Connection) -> None:
        """A connection is there no more."""
        if self.connection is connection:
            self.connection = None
        elif self.parked.get(connection.server) is connection:
            del self.parked[connection.server]


class Connection:
    """A socket with its state. The loop that owns it acts on the state.

    Attributes:
        served: answers finished on it; over 0 means the server has kept it open at least once.
        answer: the answer on its way in, or None while idle.
        patient: read when packets have come together, see `poller`.
        hasty: never to be made patient.
        room_bytes: how much one read takes; grows when an answer fills it.
        interest: what the poller watches it for.
        opened_ns, ready_ns: when it was asked for, and when it stood.
        heard_ns: stamp of its last read, or when the request under way was sent: none can be older.
        idle_ns: when its last answer ended.
        server: number of the one it leads to.
    """

    __slots__ = (
        "_out",
        "answer",
        "fd",
        "hasty",
        "heard_ns",
        "idle_ns",
        "interest",
        "opened_ns",
        "patient",
        "ready_ns",
        "recvmsg",
        "room_bytes",
        "served",
        "server",
        "sock",
        "state",
        "tls",
        "user",
    )

    def __init__(self, address: Address, tls: Tls | None, user: User) -> None:
        family, where = address
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.fd = self.sock.fileno()
        self.sock.setblocking(False)
        network = family != socket.AF_UNIX
        if network:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if network and sys.platform == "linux":  # a Unix socket has no stamps
            with contextlib.suppress(OSError):  # some sandboxes have no stamps: the read's own count then
                self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.recvmsg = self.sock.recvmsg
        self.room_bytes = READ_BYTES
        self.state = CONNECTING
        self.interest = 0
        self.patient = self.hasty = False
        self.tls = tls
        self.user = user
        self.server = user.server
        self.answer: Answer | None = None
        self.served = 0
        self.opened_ns, self.ready_ns = time.monotonic_ns(), 0
        self.heard_ns = self.idle_ns = 0
        self._out = memoryview(b"")
        code = self.sock.connect_ex(where)
        if code not in {0, errno.EINPROGRESS}:
            self.close()
            raise OSError(code, os.strerror(code))

    def connect_error(self) -> int:
        """errno of the connection attempt, 0 when it stands."""
        return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def send(self, data: bytes) -> bool:
        """Send, keeping what the socket does not take; True when all has been accepted.

        Raises:
            OSError: the connection is gone.
        """
        self._out = memoryview(data)
        return self.flush()

    def flush(self) -> bool:
        """Send what is left; True when all has been accepted. Raises OSError."""
        try:
            sent = self.sock.send(self._out)
        except (BlockingIOError, InterruptedError):
            return False
        self._out = self._out[sent:]
        return not self._out

    def rest(self, poller: Poller) -> None:
        """Be patient from now on, where the poller can, and not while the request is still being sent."""
        self.patient = self.state is RECEIVING and poller.patient(self.fd)
        self.hasty = not self.patient

    def hurry(self, poller: Poller, for_good: bool = False) -> None:
        """Be watched for input at once again."""
        self.patient = False
        self.hasty = self.hasty or for_good
        poller.prompt(self.fd)

    def just_idle(self, reopened: int) -> bool:
        """Its last answer ended a moment ago: no need to ask, unless this server closes connections."""
        return not reopened and self.state is IDLE and time.monotonic_ns() - self.idle_ns < _JUST_NS

    def usable(self) -> bool:
        """False when the server has closed the idle connection, or sent bytes nobody asked for."""
        if self.state is not IDLE:
            return False
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        return self.only_tickets()

    def only_tickets(self) -> bool:
        """What came on the idle connection is of TLS itself: session tickets follow a handshake."""
        if self.tls is None:
            return False
        try:
            data = self.sock.recv(MOST_BYTES)
            plain, closed = self.tls.decrypt(data)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:  # lost, or no TLS
            return False
        return bool(data) and not plain and not closed

    def closed_unread(self, flight: Flight, now_ns: int) -> bool:
        """The server closed the connection, seen at `now_ns`, as an idle one: it has not read the request.

        Only on a connection that has served before, only before the first byte of an
        answer, only within a round trip of sending, and only once: a fresh connection
        that breaks is a reset, and so is a request the server had time to read.
        """
        untouched = self.answer is None or self.answer.first_byte_ns is None
        if flight.resent or not self.served or not untouched:
            return False
        far_ns = min(2 * (self.ready_ns - self.opened_ns), _FAR_CROSSING_NS)
        crossing_ns = max(_CROSSING_NS, far_ns)
        return flight.sent_ns is None or now_ns - flight.sent_ns <= crossing_ns

    def delay_ns(self, flight: Flight, now_ns: int) -> int:
        """How late a send at `now_ns` is by our doing.

        The time the connection took to open is the server's, the time until it was asked for is
        ours; of a request that is sent again, all is the server's until the new connection stood.
        """
        asked_ns = 0 if flight.resent else self.opened_ns
        due_ns = flight.due_ns
        opening_ns = self.ready_ns - max(due_ns, asked_ns)
        return now_ns - due_ns - max(0, opening_ns)

    def take_answer(self) -> Answer | None:
        """Hand the answer over and forget it."""
        answer, self.answer = self.answer, None
        if answer is not None:
            answer.release()
        return answer

    def close(self) -> None:
        """Close the socket."""
        self.state = CLOSED
        self.tls = None
        self._out = memoryview(b"")
        self.sock.close()

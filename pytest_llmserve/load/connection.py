"""One non-blocking socket to the server, plain or TLS."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
import sys

from pytest_llmserve.load.http import Answer
from pytest_llmserve.load.job import Address

READ_BYTES = 65536
# asm-generic/socket.h; the socket module does not export it. Linux on x86 and ARM.
SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")
STAMP_ROOM = socket.CMSG_SPACE(_TIMESPEC.size)
unpack_stamp = _TIMESPEC.unpack

CONNECTING = "connecting"
HANDSHAKE = "handshake"
SENDING = "sending"
RECEIVING = "receiving"
IDLE = "idle"
CLOSED = "closed"

# Faults of this machine, not of the server.
OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})


class Tls:
    """TLS over memory, so that the socket, and its kernel stamps, stay ours."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def handshake(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes from the peer; return (done, bytes for the peer).

        Raises:
            ssl.SSLError: the peer is not trusted or does not speak TLS.
        """
        self._incoming.write(data)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._outgoing.read()
        return True, self._outgoing.read()

    def encrypt(self, data: bytes) -> bytes:
        """Bytes for the wire."""
        view = memoryview(data)
        while view:
            view = view[self._session.write(view) :]
        return self._outgoing.read()

    def decrypt(self, data: bytes) -> tuple[bytes, bool]:
        """What the bytes from the wire complete, and whether the peer has ended the session.

        Raises:
            ssl.SSLError: the stream is damaged.
        """
        self._incoming.write(data)
        parts = []
        while True:
            try:
                part = self._session.read(READ_BYTES)
            except ssl.SSLWantReadError:
                return b"".join(parts), False
            except ssl.SSLZeroReturnError:
                part = b""
            if not part:
                return b"".join(parts), True
            parts.append(part)


class Connection:
    """A socket with its state. The loop that owns it acts on the state.

    Attributes:
        served: answers finished on it; over 0 means the server has kept it open at least once.
        answer: the answer on its way in, or None while idle.
        ready_ns: when it was connected.
    """

    __slots__ = ("_out", "answer", "fd", "ready_ns", "recvmsg", "served", "sock", "state", "tls", "user")

    def __init__(self, address: Address, tls: Tls | None, user: object) -> None:
        family, self_address = address
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.fd = self.sock.fileno()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.recvmsg = self.sock.recvmsg
        self.state = CONNECTING
        self.tls = tls
        self.user = user
        self.answer: Answer | None = None
        self.served = 0
        self.ready_ns = 0
        self._out = b""
        code = self.sock.connect_ex(self_address)
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
        self._out = self._out + data if self._out else data
        return self.flush()

    def flush(self) -> bool:
        """Send what is left; True when all has been accepted. Raises OSError."""
        try:
            sent = self.sock.send(self._out)
        except (BlockingIOError, InterruptedError):
            return False
        self._out = self._out[sent:]
        return not self._out

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
        return False

    def take_answer(self) -> Answer | None:
        """Hand the answer over and forget it."""
        answer, self.answer = self.answer, None
        if answer is not None:
            answer.release()
        return answer

    def close(self) -> None:
        """Close the socket. The poller forgets a closed descriptor by itself."""
        self.state = CLOSED
        self.sock.close()

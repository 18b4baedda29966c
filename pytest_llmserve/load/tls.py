"""TLS over memory: bytes in, bytes out, no socket."""

from __future__ import annotations

import ssl

_READ_BYTES = 4096


class Tls:
    """One session, so that the socket, and its kernel stamps, stay ours."""

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
        parts: list[bytes] = []
        room = max(_READ_BYTES, len(data))
        try:
            while True:
                part = self._session.read(room)
                if not part:
                    return b"".join(parts), True
                parts.append(part)
                # Asking for more when there is none raises, and an exception costs more than a record.
                if not self._incoming.pending and not self._session.pending():
                    return b"".join(parts), False
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        except ssl.SSLZeroReturnError:
            return b"".join(parts), True

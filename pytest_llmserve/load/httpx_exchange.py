"""One request over httpx: what is sent, what came, and when."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx

from pytest_llmserve.load.http import Answer
from pytest_llmserve.load.httpx_endings import CONNECTING, HANDSHAKE, PROXYING, REQUESTING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pytest_llmserve.load.connection import User
    from pytest_llmserve.load.flight import Flight

    Told = Callable[["Exchange", int], None]

monotonic_ns = time.monotonic_ns

# A socket, and a window of HTTP/2, takes so much in one call. One that lasts longer than a call does was
# interrupted by the scheduler; the bytes left at its beginning.
_ONE_SEND_BYTES = 16_384
_SEND_CALL_NS = 50_000

Headers = tuple[tuple[bytes, bytes], ...]
# httpx's own limits are off: the engine keeps the time, as for every transport.
_NO_LIMITS = {"connect": None, "read": None, "write": None, "pool": None}


def parsed(raw: bytes) -> tuple[str, bytes, list[tuple[bytes, bytes]], bytes]:
    """Method, path, headers and body of a request as `http.request_bytes` writes it."""
    head, _, body = raw.partition(b"\r\n\r\n")
    fixed, _, length = head.rpartition(b"\r\n")  # the last line, the body's length, is each request's own
    method, path, headers = _head(fixed)
    name, _, value = length.partition(b": ")
    return method, path, [*headers, (name, value)], body


@lru_cache(maxsize=64)
def _head(fixed: bytes) -> tuple[str, bytes, Headers]:
    first, *lines = fixed.split(b"\r\n")
    method, path, _ = first.split(b" ")
    headers = []
    for line in lines:
        name, _, value = line.partition(b": ")
        headers.append((name, value))
    return method.decode("ascii"), path, tuple(headers)


def stays_open(response: httpx.Response) -> bool:
    """The server keeps the connection: it has not said otherwise, and the answer ends by itself."""
    if response.http_version == "HTTP/2":
        return True
    framed = "content-length" in response.headers or "transfer-encoding" in response.headers
    asked = response.headers.get("connection", "").lower()
    return framed and asked != "close" and (response.http_version == "HTTP/1.1" or asked == "keep-alive")


class Exchange:
    """A user's flight on its way through httpx. Mutable.

    Args:
        user, flight: whose, and what.
        begun, sent: called when the first byte of the request is about to leave, and when the last has.

    Attributes:
        stage: how far it has come, a word of `httpx_endings`.
        opened: it needed a connection of its own making.
        ready_ns: when that connection stood; 0 when it took a kept one.
        over: its end is recorded.
        end_ns: when the last byte had come; 0 before.
        kept: the connection can take another request.
        http_version: "HTTP/1.1" or "HTTP/2", once answered.
        task: what runs it.
    """

    def __init__(self, user: User, flight: Flight, begun: Told, sent: Told) -> None:
        self.user, self.flight = user, flight
        self._begun, self._sent = begun, sent
        self.answer = Answer()
        self.answer.release()  # httpx splits: ours only keeps
        self.stage = CONNECTING
        self.opened = self.kept = self.over = False
        self.ready_ns = self.end_ns = 0
        self.http_version = ""
        self._body_bytes = self._body_ns = 0
        self.task: asyncio.Task[None] | None = None

    def request(self, origin: httpx.URL) -> httpx.Request:
        """The flight's bytes as a request for httpx."""
        method, path, headers, body = parsed(self.flight.raw)
        self._body_bytes = len(body)
        extensions = {"timeout": _NO_LIMITS, "trace": self._trace}
        url = origin.copy_with(raw_path=path)
        return httpx.Request(method, url, headers=headers, content=body, extensions=extensions)

    def again(self) -> None:
        """Begin anew, on another connection."""
        self.stage, self.opened, self.ready_ns = CONNECTING, False, 0
        self.flight.resent, self.flight.sent_ns = True, None

    @property
    def sending(self) -> bool:
        """With the server: the request has begun to be sent."""
        return self.stage == REQUESTING

    def begin(self, response: httpx.Response) -> None:
        """Take status and headers."""
        answer = self.answer
        answer.status = response.status_code
        answer.headers = [(k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in response.headers.raw]
        self.http_version = response.http_version
        self.kept = stays_open(response)

    def feed(self, stamp_ns: int, piece: bytes) -> None:
        """Take a piece of the body."""
        self.answer.stamps.append(stamp_ns)
        self.answer.pieces.append(piece)

    def _sent_ns(self, now_ns: int) -> int:
        """When the body had left: a small one at once, however late we are told."""
        if self._body_bytes > _ONE_SEND_BYTES:
            return now_ns
        return min(now_ns, self._body_ns + _SEND_CALL_NS)

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Stamps at the instants that httpcore tells of; its events are "room.step.state"."""
        step = event.partition(".")[2]
        if step == "send_request_headers.started":
            if info["request"].method == b"CONNECT":
                self.stage = PROXYING
            else:
                self.stage, self.flight.sending_ns = REQUESTING, monotonic_ns()
                self._begun(self, self.flight.sending_ns)
        elif step in {"connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete"}:
            self.ready_ns = monotonic_ns()
        elif step in {"connect_tcp.started", "connect_unix_socket.started"}:
            self.stage, self.opened = CONNECTING, True
        elif step == "start_tls.started":
            self.stage = HANDSHAKE
        elif self.stage != REQUESTING:
            return
        elif step == "send_request_body.started":
            self._body_ns = monotonic_ns()
        elif step == "send_request_body.complete":
            now_ns = monotonic_ns()
            self.flight.sent_ns = self._sent_ns(now_ns)
            self._sent(self, now_ns)
        elif step == "receive_response_headers.complete":
            self.answer.first_byte_ns = monotonic_ns()

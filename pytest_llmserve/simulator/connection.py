"""One connection: its requests one after the other, and the client that leaves."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
import traceback
from typing import TYPE_CHECKING

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.faces import openai

if TYPE_CHECKING:
    from pytest_llmserve.simulator.server import Simulator

LINGER_S = 2.0
"""How long what a refused client still sends is read and dropped: a reset would take the answer from it."""

CLIENT_LEFT = 499
"""In the log, as nginx has it."""


class Connection(asyncio.Protocol):
    """Mutable: lives as long as the connection.

    Attributes:
        left: the client has closed it.
        status: of the answer under way.
    """

    def __init__(self, server: Simulator) -> None:
        self._server = server
        self._reader = wire.RequestReader(server.settings.most_body_bytes)
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._room: asyncio.Future[None] | None = None
        self._request: wire.Request | None = None
        self._refused = False
        self._peer = "-"
        self.left = False
        self.status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer = str((transport.get_extra_info("peername") or ("-",))[0])
        self._server.connected()

    def data_received(self, data: bytes) -> None:
        """Take bytes; answer the first whole request among them."""
        if self._refused:
            return
        self._reader.feed(data)
        if self._task is None:
            self._go_on()
        elif self._reader.pending_bytes > self._server.settings.most_body_bytes + wire.MOST_HEAD_BYTES:
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """The client has closed, at least its half: it is taken for gone, as most servers do."""
        self._leave()

    def connection_lost(self, _: Exception | None) -> None:
        """It is closed, by whomever."""
        self._leave()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    async def send(self, data: bytes) -> None:
        """Write, and wait while the client does not read."""
        if data:
            self._transport.write(data)
        if self._room is not None:
            await self._room

    async def answer(self, status: int, content_type: str, body: bytes, more: str = "") -> bool:
        """Send a whole answer; True when the connection may stay open."""
        assert self._request is not None
        self.status, stays = status, self._request.stays
        head = wire.head(status, content_type, "content-length", len(body), close=not stays, more=more)
        await self.send(head + (b"" if self._request.method == "HEAD" else body))
        return stays

    def reset(self) -> None:
        """End the connection by a reset rather than a proper close."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _leave(self) -> None:
        self.left = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _go_on(self) -> None:
        """Begin the next request if it is whole; see to it that the rest of one comes in time."""
        try:
            request = self._reader.next(time.monotonic_ns())
        except wire.BadRequest as error:
            self._refuse(error.status, str(error))
            return
        loop = asyncio.get_running_loop()
        if request is not None:
            self._stop_timer()
            self._request = request
            self._task = loop.create_task(self._serve(request))
            return
        if self._reader.wants_continue():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._timer is None and self._reader.begun:
            patience_s = self._server.settings.patience_s
            self._timer = loop.call_later(patience_s, self._too_slow, patience_s)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _serve(self, request: wire.Request) -> None:
        self.status, stays = 0, False
        try:
            stays = await self._server.answer(request, self)
        except asyncio.CancelledError:
            if not self.left:
                raise
        except Exception:
            traceback.print_exc()
            await self._own_fault()
        status = CLIENT_LEFT if self.left else self.status
        self._server.log(self._peer, request.method, request.path, status)
        self._task = self._request = None
        if self.left or not stays:
            self._transport.close()
            return
        self._transport.resume_reading()
        self._go_on()

    async def _own_fault(self) -> None:
        """A bug of the simulator's, or of a planted fault: told in the log, not to the client."""
        if not self.status:
            body = openai.error("the simulator itself has failed: its log says how", 500)
            await self.answer(500, "application/json", body)

    def _too_slow(self, patience_s: float) -> None:
        self._refuse(408, f"the rest of the request did not come within {patience_s:g} s")

    def _refuse(self, status: int, message: str) -> None:
        """Answer what cannot be read as a request, and close."""
        self._stop_timer()
        self._refused = True
        body = openai.error(message, status)
        head = wire.head(status, "application/json", "content-length", len(body), close=True)
        self._transport.write(head + body)
        self._server.log(self._peer, "-", "-", status)
        self._transport.write_eof()
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)

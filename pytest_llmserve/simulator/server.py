"""The simulator itself: who asks what, and what is counted."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import TextIO

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.connection import Connection
from pytest_llmserve.simulator.counts import Counts
from pytest_llmserve.simulator.exchange import Exchange
from pytest_llmserve.simulator.faces import by_path, openai
from pytest_llmserve.simulator.faces.face import Face, Queued
from pytest_llmserve.simulator.faults.fault import Fault
from pytest_llmserve.simulator.fields import Refused, parse_object
from pytest_llmserve.simulator.orders import Orders
from pytest_llmserve.simulator.pages import JSON, pages
from pytest_llmserve.simulator.question import check_fit
from pytest_llmserve.simulator.settings import Settings
from pytest_llmserve.simulator.slots import Slots


class Simulator:
    """Mutable state: what was counted, who has a slot, and whether all stands still for ever.

    Attributes:
        faces: path -> API.
        under_way: requests for an answer that have come and not ended.
        stuck: a fault has stopped every answer.
    """

    def __init__(self, settings: Settings, faults: list[Fault], log: TextIO | None = sys.stderr) -> None:
        self.settings = settings
        self.faults = faults
        self.faces: dict[str, Face] = by_path(settings.faces, settings.model)
        self.slots = Slots(settings.slots)
        self.counts = Counts()
        self.under_way = 0
        self.stuck = False
        self._pages = pages(settings.faces)
        self._orders = Orders()
        self._asked = 0
        self._first_ns: int | None = None
        self._log = log

    @property
    def since_s(self) -> float:
        """Seconds since the first connection."""
        return 0.0 if self._first_ns is None else (time.monotonic_ns() - self._first_ns) / 1e9

    def connected(self) -> None:
        """A connection was made."""
        if self._first_ns is None:
            self._first_ns = time.monotonic_ns()

    async def answer(self, request: wire.Request, connection: Connection) -> bool:
        """Answer a request; True when its connection may stay open."""
        face = self.faces.get(request.path)
        if face is not None:
            if request.method != "POST":
                return await _refuse(connection, request, 405, "POST")
            if isinstance(face, Queued):
                return await self._order(face, request, connection)
            return await self._exchange(face, request, connection)
        face = self.faces.get(request.path.rpartition("/")[0])
        if isinstance(face, Queued):
            return await self._fetch(face, request, connection)
        page = self._pages.get(request.path)
        if page is None:
            return await _refuse(connection, request, 404, "")
        if request.method not in {"GET", "HEAD"}:
            return await _refuse(connection, request, 405, "GET, HEAD")
        return await connection.answer(200, *page(self))

    async def _exchange(self, face: Face, request: wire.Request, connection: Connection) -> bool:
        self._asked += 1
        self.under_way += 1
        try:
            return await Exchange(self, face, request, connection, self._asked).run()
        finally:
            self.under_way -= 1

    async def _order(self, face: Queued, request: wire.Request, connection: Connection) -> bool:
        """Give an order that can be read a number; refuse any other as if it was to be answered at once."""
        try:
            question = face.read(parse_object(request.body), self.settings.model)
            check_fit(question, self.settings.context)
        except Refused:
            return await self._exchange(face, request, connection)
        return await connection.answer(200, JSON, face.ordered(self._orders.take(request)))

    async def _fetch(self, face: Queued, request: wire.Request, connection: Connection) -> bool:
        if request.method != "GET":
            return await _refuse(connection, request, 405, "GET")
        order = self._orders.fetched(request)
        if order is None:
            return await connection.answer(200, face.stream_type, face.unknown())
        return await self._exchange(face, order, connection)

    def log(self, peer: str, method: str, path: str, status: int) -> None:
        """Count a request that is over, and write its line."""
        self.counts.statuses[status] = self.counts.statuses.get(status, 0) + 1
        if self._log is not None:
            self._log.write(f'INFO {peer} "{method} {path}" {status}\n')
            self._log.flush()


async def _refuse(connection: Connection, request: wire.Request, status: int, allowed: str) -> bool:
    if status == 404:
        return await connection.answer(404, JSON, openai.error(f"there is no {request.path}", 404))
    body = openai.error(f"{request.path} takes {allowed}, not {request.method}", 405)
    return await connection.answer(405, JSON, body, f"Allow: {allowed}\r\n")


async def serve(simulator: Simulator, host: str, port: int, listening: Callable[[int], None]) -> None:
    """Listen for ever; `listening` is told the port."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Connection(simulator), host, port, backlog=1024)
    listening(listener.sockets[0].getsockname()[1])
    await loop.create_future()

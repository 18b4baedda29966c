"""A model server for tests: a known timing law, and faults switched on by options.

``python tests/servers/mock_server.py --port 0 --port-file F --log F --ttft-ms 20 --crlf``

Speaks OpenAI chat and completions, streamed and not, /v1/models, /health, and ``POST /generate {"prompt"}``
-> ``{"response"}``. Sends are due by an absolute schedule from the receipt of the full request, so a late
one does not delay the next. Standard library only.

Each request leaves a line in the log: n, path, nonce (the first "[hex]" of the prompt), request_id (header
X-Request-Id), received_ns, token_ns (just before each token chunk was written), end_ns, status (None when
nothing was answered), tokens, client_gone. The clock is CLOCK_MONOTONIC.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import signal
import ssl
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import mock_answers as answers
from mock_answers import Behaviour, Piece
from mock_leaks import KINDS, Keep

from pytest_llmserve.simulator import wire

NS_PER_MS = 1_000_000


class MockServer:
    """Mutable state: how many requests were counted, what was leaked, which connections are idle."""

    def __init__(self, behaviour: Behaviour, log: TextIO | None, leak: Keep | None = None) -> None:
        self.behaviour = behaviour
        self.leak = leak
        self.log = log
        self.started_ns = time.monotonic_ns()
        self.asked = 0
        self.begun = ""
        self.idle: set[asyncio.StreamWriter] = set()
        self.listener: asyncio.Server | None = None
        self.slots = asyncio.Semaphore(behaviour.slots) if behaviour.slots else contextlib.nullcontext()

    @property
    def loading(self) -> bool:
        return time.monotonic_ns() - self.started_ns < self.behaviour.loading_s * 1e9

    @property
    def refusing(self) -> bool:
        return 0 < self.behaviour.refuse_after <= self.asked

    def count_request(self, body: bytes) -> int:
        self.asked += 1
        if self.leak:
            self.leak(body)
        if self.refusing and self.listener:
            self.listener.close()
            for writer in self.idle:
                writer.close()
        return self.asked

    def swapped(self, asked: answers.Question, number: int) -> answers.Question:
        """The question, or one that is answered like the one before it."""
        before, self.begun = self.begun, asked.begins
        if not self.behaviour.swap_every or number % self.behaviour.swap_every:
            return asked
        return replace(asked, begins=before)

    def write_log(self, row: dict[str, Any]) -> None:
        if self.log:
            self.log.write(json.dumps(row) + "\n")
            self.log.flush()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        patience_s = self.behaviour.close_idle_ms / 1000 or None
        first = True
        requests = wire.RequestReader()
        with contextlib.suppress(ConnectionError, TimeoutError):
            while True:
                self.idle.add(writer)
                async with asyncio.timeout(None if first else patience_s):
                    request = await next_request(requests, reader)
                self.idle.discard(writer)
                if request is None or not await Exchange(self, request, reader, writer).run():
                    break
                first = False
        self.idle.discard(writer)
        writer.close()


class Exchange:
    """One request and its answer."""

    def __init__(
        self,
        server: MockServer,
        request: wire.Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.server = server
        self.request = request
        self.reader = reader
        self.writer = writer
        self.behaviour = server.behaviour
        self.framing = self.behaviour.framing
        self.begun_ns = request.received_ns
        self.row: dict[str, Any] = {"path": request.path, "received_ns": request.received_ns}

    async def run(self) -> bool:
        """Answer; True when the connection stays open for another request."""
        if self.server.loading:
            return await self.plain(503, wire.error_body("Loading model", 503))
        if self.request.path == "/health":
            return await self.plain(200, wire.as_json({"status": "ok"}))
        if self.request.path == "/v1/models":
            model = {"id": self.behaviour.model, "object": "model", "created": answers.CREATED}
            return await self.plain(200, wire.as_json({"object": "list", "data": [model]}))
        api = answers.APIS.get(self.request.path)
        if api is None:
            return await self.plain(404, wire.error_body(f"no path {self.request.path}", 404))
        if self.request.method != "POST":
            return await self.plain(405, wire.error_body("only POST", 405))
        return await self.logged(api)

    async def logged(self, api: str) -> bool:
        number = self.server.count_request(self.request.body)
        if self.behaviour.say_every and number % self.behaviour.say_every == 0:
            print(self.behaviour.say, file=sys.stderr, flush=True)
        if number <= self.behaviour.healthy_first:
            self.behaviour = healthy(self.behaviour)
        request_id = self.request.headers.get("x-request-id")
        self.row |= {"n": number, "nonce": None, "request_id": request_id, "token_ns": [], "status": None}
        self.row |= {"tokens": 0, "client_gone": False}
        try:
            async with self.server.slots:
                if self.behaviour.slots:
                    self.begun_ns = time.monotonic_ns()
                stays = await self.answer(api, number)
        except ConnectionError:
            self.row["client_gone"], stays = True, False
        self.row["end_ns"] = time.monotonic_ns()
        self.server.write_log(self.row)
        if number == self.server.behaviour.die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return stays and not self.server.refusing

    async def answer(self, api: str, number: int) -> bool:
        if self.behaviour.hang:
            return await self.wait_for_client_to_leave()
        if status := failure(self.behaviour, number):
            return await self.plain(status, wire.error_body("planted failure", status))
        try:
            body = json.loads(self.request.body)
        except ValueError:
            return await self.plain(400, wire.error_body("the body is not JSON", 400))
        if fault := answers.fault_in(self.behaviour, api, body):
            return await self.plain(400, wire.error_body(fault, 400))
        asked = self.server.swapped(answers.question(self.behaviour, api, body), number)
        self.row["nonce"] = asked.nonce
        late_ms = lateness(self.behaviour, number)
        if not asked.stream:
            return await self.unstreamed(answers.whole(self.behaviour, asked), late_ms)
        pieces, cut = answers.spoiled(self.behaviour, answers.streamed(self.behaviour, asked))
        return await self.streamed(pieces, cut, late_ms)

    async def plain(self, status: int, body: bytes) -> bool:
        """Answer at once with a whole JSON body."""
        self.row["status"] = status
        self.writer.write(wire.head(status, "application/json", self.framing, len(body)))
        return await self.end_body(wire.framed(self.framing, body))

    async def unstreamed(self, piece: Piece, late_ms: float) -> bool:
        await self.until(piece.due_ms + late_ms)
        self.row["status"] = 200
        self.writer.write(wire.head(200, "application/json", self.framing, len(piece.data)))
        if self.behaviour.hang_after_headers:
            return await self.wait_for_client_to_leave()
        if self.behaviour.truncate_after >= 0:
            self.writer.write(wire.framed(self.framing, piece.data[: len(piece.data) // 2]))
            await self.writer.drain()
            return False
        self.note_tokens(piece)
        return await self.end_body(wire.framed(self.framing, piece.data))

    async def streamed(self, pieces: list[Piece], cut: bool, late_ms: float) -> bool:
        # A truncated body must miss bytes of its promised length, or it would not be cut.
        length = sum(len(piece.data) for piece in pieces) + (1000 if cut else 0)
        self.row["status"] = 200
        self.writer.write(wire.head(200, "text/event-stream", self.framing, length))
        await self.writer.drain()
        if self.behaviour.hang_after_headers:
            return await self.wait_for_client_to_leave()
        for piece in pieces:
            await self.until(piece.due_ms + (late_ms if piece.due_ms else 0.0))
            self.note_tokens(piece)
            self.writer.write(wire.framed(self.framing, piece.data))
            await self.writer.drain()
        if cut:
            return False
        stays = await self.end_body(b"")
        return stays and not self.behaviour.close_after_answer

    async def end_body(self, data: bytes) -> bool:
        self.writer.write(data + wire.last(self.framing))
        await self.writer.drain()
        return self.framing != "close" and self.request.headers.get("connection", "").lower() != "close"

    def note_tokens(self, piece: Piece) -> None:
        if piece.tokens:
            self.row["token_ns"].append(time.monotonic_ns())
            self.row["tokens"] += piece.tokens

    async def until(self, due_ms: float) -> None:
        """Sleep to an instant counted from the receipt of the request, or from the slot it waited for."""
        due_ns = self.begun_ns + round(due_ms * NS_PER_MS)
        await asyncio.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        if self.reader.at_eof():
            raise ConnectionResetError("the client has left")

    async def wait_for_client_to_leave(self) -> bool:
        await self.writer.drain()
        await self.reader.read()
        self.row["client_gone"] = True
        return False


async def next_request(requests: wire.RequestReader, reader: asyncio.StreamReader) -> wire.Request | None:
    """The next request of a connection, or None when the client has closed it."""
    while (request := requests.next(time.monotonic_ns())) is None:
        data = await reader.read(1 << 16)
        if not data:
            return None
        requests.feed(data)
    return request


def healthy(behaviour: Behaviour) -> Behaviour:
    """The same timing law without a fault."""
    kept = ("model", "ttft_ms", "itl_ms", "tokens", "tokens_per_chunk", "framing", "spread", "seed")
    return Behaviour(**{name: getattr(behaviour, name) for name in kept})


def failure(behaviour: Behaviour, number: int) -> int:
    """The status a request fails with, or 0."""
    first, every = behaviour.fail_first, behaviour.fail_every
    if number <= first or (every and number % every == 0):
        return behaviour.fail_status or 500
    return 0 if first or every else behaviour.fail_status


def lateness(behaviour: Behaviour, number: int) -> float:
    """Milliseconds this request's tokens are late by, less than 0 where the law has them early."""
    slow_ms = behaviour.slow_ms if behaviour.slow_every and number % behaviour.slow_every == 0 else 0.0
    if not behaviour.spread:
        return slow_ms
    drawn = random.Random(f"{behaviour.seed} {number}").gauss(0.0, behaviour.spread)
    return slow_ms + behaviour.ttft_ms * math.expm1(drawn)


async def serve(
    options: argparse.Namespace, behaviour: Behaviour, log: TextIO | None, leak: Keep | None
) -> None:
    """Listen until killed."""
    context = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls)
    server = MockServer(behaviour, log, leak)
    listening: dict[str, Any] = {"ssl": context, "backlog": 1024, "limit": 64 * 1024 * 1024}
    if options.unix:
        listener = await asyncio.start_unix_server(server.connection, options.unix, **listening)
    else:
        listener = await asyncio.start_server(server.connection, options.host, options.port, **listening)
    server.listener = listener
    port = 0 if options.unix else listener.sockets[0].getsockname()[1]
    print(f"listening on {options.unix or options.host}:{port}", flush=True)
    if options.port_file:
        fresh = Path(options.port_file + ".new")
        fresh.write_text(str(port))
        fresh.replace(options.port_file)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--unix", metavar="PATH", help="listen at this Unix socket instead")
    parser.add_argument("--port-file", help="written when listening")
    parser.add_argument("--log", help="one JSON line a request")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), help="PEM files")
    for name, keywords in answers.arguments():
        parser.add_argument(name, **keywords)
    options = parser.parse_args()
    behaviour = Behaviour(**{name: getattr(options, name) for name in Behaviour.__dataclass_fields__})
    leak = None
    if behaviour.leak_kb:  # before anything is open that a forked worker should not have
        leak = KINDS[behaviour.leak_where](behaviour.leak_kb * 1000, behaviour.leak_freed)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(Path(options.log).open("a")) if options.log else None
        stack.callback(sys.stdout.flush)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(options, behaviour, log, leak))


if __name__ == "__main__":
    main()

"""timed_server.c in Python: same options, same log, fewer streams; a request is received when it was read.

For machines without a C compiler, and for TLS: ``--tls FILE``, a certificate chain and its key in one file.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import re
import selectors
import signal
import socket
import ssl
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

ID = re.compile(rb"\[([0-9a-f]{8,47})\]")
HEADER_ID = re.compile(rb"\r\nx-request-id: *([^\r]*)", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Connection:
    """One client; its mutable state is the bytes either way and the answer under way."""

    socket: socket.socket
    incoming: bytes = b""
    outgoing: bytes = b""
    answering: bool = False
    streamed: bool = True
    received_ns: int = 0
    id: bytes = b""
    stamps: list[int] = field(default_factory=list)


class Texts:
    """Everything the server can say, ready to send."""

    def __init__(self, tokens: int) -> None:
        usage = {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": tokens + 7}
        role = {"role": "assistant", "content": ""}
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.opening = head + _event([{"index": 0, "delta": role, "finish_reason": None}])
        self.token = _event([{"index": 0, "delta": {"content": "word "}, "finish_reason": None}])
        finish = _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        done = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
        self.last = self.token + finish + _event([], usage=usage) + done
        message = {"role": "assistant", "content": "word " * tokens}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        whole = {"id": "t", "object": "chat.completion", "created": 1, "model": "timed"}
        self.whole = _json({**whole, "choices": [choice], "usage": usage})
        self.models = _json({"object": "list", "data": [{"id": "timed", "object": "model"}]})
        self.health = _json({"status": "ok"})
        self.nowhere = _json({"error": {"message": "no such path"}}, b"404 Not Found")


def _event(choices: list[dict[str, Any]], **more: Any) -> bytes:
    head = {"id": "t", "object": "chat.completion.chunk", "created": 1, "model": "timed"}
    body = b"data: " + json.dumps({**head, "choices": choices, **more}).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(body), body)


def _json(value: object, status: bytes = b"200 OK") -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


class TimedServer:
    """The schedule, the connections and the log."""

    def __init__(self, options: argparse.Namespace, log: BinaryIO | None) -> None:
        self.ttft_ns, self.itl_ns = round(options.ttft_ms * 1e6), round(options.itl_ms * 1e6)
        self.tokens = options.tokens
        self.texts = Texts(options.tokens)
        self.log = log
        self.due: list[tuple[int, int, Connection]] = []
        self.order = 0
        self.selector = selectors.DefaultSelector()
        self.tls: ssl.SSLContext | None = None
        if options.tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(options.tls)
        self.stopping = False

    def serve(self, listener: socket.socket) -> None:
        """Until SIGTERM."""
        self.selector.register(listener, selectors.EVENT_READ)
        while not self.stopping:
            # The selector rounds up to a millisecond; sleeping to just before and spinning keeps the time.
            wait_s = (self.due[0][0] - time.monotonic_ns()) / 1e9 - 0.001 if self.due else 0.2
            for key, events in self.selector.select(max(0.0, wait_s)):
                if key.data is None:
                    self.accept(listener)
                    continue
                if events & selectors.EVENT_WRITE:
                    self.flush(key.data)
                if events & selectors.EVENT_READ:
                    self.read(key.data)
            while self.due and self.due[0][0] <= time.monotonic_ns():
                self.send_due(heapq.heappop(self.due)[2])

    def accept(self, listener: socket.socket) -> None:
        client, _ = listener.accept()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            client = self.tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        self.selector.register(client, selectors.EVENT_READ, Connection(client))

    def read(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(65536)
            while isinstance(connection.socket, ssl.SSLSocket) and connection.socket.pending():
                data += connection.socket.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        if not data:
            self.drop(connection)
            return
        connection.incoming += data
        if not connection.answering:
            self.begin(connection)

    def begin(self, connection: Connection) -> None:
        """Start the answer once the request is whole."""
        head, mark, rest = connection.incoming.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        size = int(length[1]) if length else 0
        if not mark or len(rest) < size:
            return
        connection.received_ns = time.monotonic_ns()
        body, connection.incoming = rest[:size], rest[size:]
        path = head.split(b" ", 2)[1]
        if path != b"/v1/chat/completions":
            known = {b"/v1/models": self.texts.models, b"/health": self.texts.health}
            self.put(connection, known.get(path, self.texts.nowhere))
            return
        found = HEADER_ID.search(head) or ID.search(body)
        connection.id = found[1][:47] if found else b""
        connection.answering, connection.stamps = True, []
        connection.streamed = bool(json.loads(body).get("stream"))
        if connection.streamed:
            self.put(connection, self.texts.opening)
        self.schedule(connection, 0 if connection.streamed else self.tokens - 1)

    def schedule(self, connection: Connection, token: int) -> None:
        self.order += 1  # breaks ties, so that connections are never compared
        due_ns = connection.received_ns + self.ttft_ns + token * self.itl_ns
        heapq.heappush(self.due, (due_ns, self.order, connection))

    def send_due(self, connection: Connection) -> None:
        if not connection.answering:
            return
        sent = len(connection.stamps) // 2
        ends = not connection.streamed or sent == self.tokens - 1
        text = self.texts.last if ends else self.texts.token
        connection.stamps.append(time.monotonic_ns())
        self.put(connection, text if connection.streamed else self.texts.whole)
        connection.stamps.append(time.monotonic_ns())
        if not ends:
            self.schedule(connection, sent + 1)
            return
        connection.answering = False
        self.write_record(connection)
        if connection.incoming:
            self.begin(connection)

    def write_record(self, connection: Connection) -> None:
        if self.log:
            count = len(connection.stamps)
            head = (connection.id, connection.received_ns, count // 2)
            self.log.write(struct.pack(f"=48sQQ{count}Q", *head, *connection.stamps))

    def put(self, connection: Connection, data: bytes) -> None:
        connection.outgoing += data
        self.flush(connection)

    def flush(self, connection: Connection) -> None:
        try:
            sent = connection.socket.send(connection.outgoing)
        except (BlockingIOError, ssl.SSLWantWriteError):
            sent = 0
        except OSError:
            self.drop(connection)
            return
        connection.outgoing = connection.outgoing[sent:]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.outgoing else 0)
        if self.selector.get_key(connection.socket).events != wanted:
            self.selector.modify(connection.socket, wanted, connection)

    def drop(self, connection: Connection) -> None:
        connection.answering = False
        if connection.socket.fileno() >= 0:
            self.selector.unregister(connection.socket)
            connection.socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file")
    parser.add_argument("--log")
    parser.add_argument("--cpu", type=int, default=-1)
    parser.add_argument("--ttft-ms", type=float, default=50.0)
    parser.add_argument("--itl-ms", type=float, default=20.0)
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--tls")
    options = parser.parse_args()
    if options.tokens < 1:
        sys.exit("--tokens must be 1 or more")
    if options.cpu >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.cpu})
    listener = socket.create_server(("127.0.0.1", options.port), backlog=4096)
    log = Path(options.log).open("wb") if options.log else None  # noqa: SIM115 - open for the whole life
    server = TimedServer(options, log)
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "stopping", True))
    if options.port_file:
        fresh = Path(options.port_file + ".new")
        fresh.write_text(str(listener.getsockname()[1]))
        fresh.replace(options.port_file)
    server.serve(listener)
    if log:
        log.close()


if __name__ == "__main__":
    main()

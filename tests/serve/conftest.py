"""A scripted HTTP server on a real socket, and helpers for real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from pytest_llmserve.domain.target import Target, target_from_url
from pytest_llmserve.serve.guard import start_mark


@dataclass
class Asked:
    """One request that reached the scripted server."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Connection:
    """The server's side of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.open = True

    def send(self, *pieces: bytes | str) -> None:
        for piece in pieces:
            self.sock.sendall(piece.encode() if isinstance(piece, str) else piece)

    def close(self) -> None:
        self.open = False

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.open = False

    def answer(self, status: int, body: bytes | str, content_type: str = "application/json") -> None:
        raw = body.encode() if isinstance(body, str) else body
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(raw)}\r\n\r\n"
        self.send(head.encode() + raw)

    def begin_events(self, *pieces: str) -> None:
        self.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            self.chunk(piece)

    def chunk(self, piece: str) -> None:
        raw = piece.encode()
        self.send(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")

    def end_events(self) -> None:
        self.send("0\r\n\r\n")


Script = Callable[[Asked, Connection], None]


@dataclass
class Scripted:
    """An HTTP/1.1 server that answers as its script says; one thread a connection."""

    script: Script
    tls: ssl.SSLContext | None = None
    socket_path: str | None = None
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.socket_path is not None:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.socket_path)
            self.listener.listen()
            where = target_from_url(f"http+unix://{quote(self.socket_path, safe='')}")
        else:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port: int = self.listener.getsockname()[1]
            scheme = "https" if self.tls else "http"
            where = Target(scheme=scheme, host="127.0.0.1", port=self.port)
        self.target = msgspec.structs.replace(where, api="openai-chat", model="m")
        self.url = self.target.url
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        connection = Connection(sock)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            if self.tls is not None:
                sock = connection.sock = self.tls.wrap_socket(sock, server_side=True)
            stack.enter_context(sock)
            reader = stack.enter_context(sock.makefile("rb"))
            while connection.open:
                try:
                    asked = read_request(reader, number)
                except ValueError:  # as web servers do when they are spoken to in TLS
                    connection.answer(400, "not HTTP", "text/plain")
                    return
                if asked is None:
                    return
                self.asked.append(asked)
                self.script(asked, connection)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def read_request(reader, number: int) -> Asked | None:
    first = reader.readline().decode()
    if not first:
        return None
    method, path, _ = first.split()
    headers = {}
    while (line := reader.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, body, number)


@pytest.fixture
def scripted() -> Iterator[Callable[[Script], Scripted]]:
    """Make scripted servers; they end with the test."""
    made: list[Scripted] = []

    def make(script: Script, tls: ssl.SSLContext | None = None, socket_path: str | None = None) -> Scripted:
        made.append(Scripted(script, tls, socket_path))
        return made[-1]

    yield make
    for server in made:
        server.close()


def eventually(holds: Callable[[], bool], limit_s: float = 10) -> bool:
    """Wait until something holds; False when it did not in time."""
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@dataclass
class Programs:
    """Small programs in a folder, started as processes that end with the test."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def write(self, name: str, text: str) -> list[str]:
        path = self.folder / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return [sys.executable, str(path)]

    def run(self, name: str, text: str) -> subprocess.Popen[str]:
        """Start one in a session of its own, as a terminal would."""
        package = str(Path(__file__).parents[2])
        process = subprocess.Popen(
            self.write(name, text),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": package, "FOLDER": str(self.folder)},
        )
        self.started.append(process)
        return process

    def pids_in(self, name: str, count: int) -> list[int]:
        """The pids that a program wrote to a file, once there are `count`."""
        path = self.folder / name
        assert eventually(lambda: path.exists() and len(path.read_text().split()) >= count), name
        return [int(word) for word in path.read_text().split()]


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Write and start small programs."""
    made = Programs(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Wait until a process does not run any more."""
    return lambda pid: eventually(lambda: start_mark(pid) is None)


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., bool]:
    """Wait until something holds."""
    return eventually

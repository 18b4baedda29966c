"""Runs of the real engine against small servers, and servers that misbehave byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.trust import SYSTEM_TRUST, Trust
from pytest_llmserve.load.engine import LoadRun
from pytest_llmserve.load.job import WorkerSummary

RUN_LIMIT_S = 30.0


@pytest.fixture
def transport(request: pytest.FixtureRequest) -> str:
    """What carries the requests; a test asks for several with parametrize(..., indirect=True)."""
    return str(getattr(request, "param", "sockets"))


@pytest.fixture
def new_run(tmp_path: Path, transport: str) -> Iterator[Callable[..., LoadRun]]:
    """``new_run(url, prompts=..., users=2, requests=4)`` -> a `LoadRun` that is closed at the end."""
    with contextlib.ExitStack() as stack:
        made = []

        def make(
            url: str,
            prompts: Any = ("Say something.",),
            tasks: Any = (),
            trust: Trust = SYSTEM_TRUST,
            api: str = "openai-chat",
            **plan: Any,
        ) -> LoadRun:
            target = msgspec.structs.replace(target_from_url(url), api=api, model="mock")
            target = msgspec.structs.replace(target, stream_usage=True, trust=trust)
            load_plan = LoadPlan(**{"users": 1, "salt": "5eed0000", "transport": transport, **plan})
            made.append(LoadRun(target, load_plan, list(prompts), tmp_path / f"run-{len(made)}", tasks=tasks))
            return stack.enter_context(made[-1])

        yield make


@pytest.fixture
def load(new_run: Callable[..., LoadRun]) -> Callable[..., Any]:
    """The same, run to its end: a `LoadResult`."""

    def run(url: str, *args: Any, **plan: Any) -> Any:
        started = new_run(url, *args, **plan)
        started.start()
        started.wait()
        return started.result()

    return run


class RawServer:
    """Answers each connection with a function of (socket, its number), in a thread of its own."""

    def __init__(self, handle: Callable[[socket.socket, int], None], host: str = "127.0.0.1") -> None:
        self._handle = handle
        family, _, _, _, where = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        self._listener = socket.create_server(where, family=family)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer = self._listener.accept()[0]
                peer.settimeout(RUN_LIMIT_S)
                self.connections += 1
                self._open.append(peer)
                threading.Thread(target=self._serve, args=(peer, self.connections), daemon=True).start()

    def _serve(self, peer: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), peer:
            self._handle(peer, number)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._open:
            peer.close()


def read_request(peer: socket.socket) -> bytes:
    """One whole request, or b"" when the client has left."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += peer.recv(1 << 20)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    """``raw_server(handle)``; `handle.read_request` is beside it as ``raw_server.read_request``."""
    running: list[RawServer] = []

    def start(handle: Callable[[socket.socket, int], None], **where: str) -> RawServer:
        running.append(RawServer(handle, **where))
        return running[-1]

    start.read_request = read_request  # type: ignore[attr-defined]
    yield start
    for server in running:
        server.close()


@pytest.fixture
def summary() -> Callable[..., WorkerSummary]:
    """A worker's summary with everything at rest but what is given."""

    def make(**given: Any) -> WorkerSummary:
        rest = {"index": 0, "start_ns": 0, "drain_ns": 0, "end_ns": 0, "cpu_ns": 0, "chunks": 0}
        rest |= {"stamped_reads": 0, "unstamped_reads": 0, "reopened": 0, "unfinished": 0}
        lags: dict[str, Any] = {"send_lag_ns": [], "receive_lag_ns": [], "ended": "complete"}
        return WorkerSummary(**{**rest, **lags, **given})

    return make

"""Servers for tests: each in a process of its own, on a free loopback port, gone when the test is over."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from pytest_llmserve.load import engine

pytest_plugins = ["pytester"]

# Hundreds of processes import the package here: each would compile it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# And so would this one the tests, whose assertions take pytest 7 s to rewrite.
sys.dont_write_bytecode = False
# A shell that starts a job in the background leaves Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

SERVERS = Path(__file__).parent / "servers"
START_LIMIT_S = 30.0
STOP_LIMIT_S = 10.0


class Template:
    """A running tests/servers/mock_template.py."""

    def __init__(self) -> None:
        command = [sys.executable, str(SERVERS / "mock_template.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def fork(self, options: list[str], output: Path) -> psutil.Process:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"output": str(output), "options": options}) + "\n")
        self._process.stdin.flush()
        return psutil.Process(int(self._process.stdout.readline()))

    def end(self) -> None:
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(STOP_LIMIT_S)


class MockServer:
    """A running tests/servers/mock_server.py."""

    def __init__(self, options: tuple[str, ...], folder: Path, template: Template) -> None:
        folder.mkdir()
        self.log = folder / "requests.jsonl"
        self.output = folder / "output.txt"
        self._port_file = folder / "port"
        ours = ["--log", str(self.log), "--port-file", str(self._port_file)]
        self.output.touch()
        self._process = template.fork([*ours, *options], self.output)
        try:
            self.port = self._wait_for_port()
        except BaseException:
            self.stop()
            raise
        self.url = f"{'https' if '--tls' in options else 'http'}://127.0.0.1:{self.port}"
        if "--unix" in options:
            self.url = f"http+unix://{quote(options[options.index('--unix') + 1], safe='')}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.is_running()

    def wait_until_gone(self) -> None:
        self._process.wait(STOP_LIMIT_S)

    def stop(self) -> None:
        """End the process, by force when asking did not help."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.terminate()
            try:
                self._process.wait(STOP_LIMIT_S)
            except psutil.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_LIMIT_S)

    def log_rows(self, count: int = 0) -> list[dict[str, Any]]:
        """The rows of the requests that are over; waits until there are `count` of them."""
        deadline = time.monotonic() + STOP_LIMIT_S
        while True:
            text = self.log.read_text() if self.log.exists() else ""
            rows = [json.loads(line) for line in text.split("\n")[:-1]]
            if len(rows) >= count:
                return rows
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(rows)} requests in the server's log, not {count}: {rows}")
            time.sleep(0.01)

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + START_LIMIT_S
        while not self._port_file.exists():
            if not self.is_alive() or time.monotonic() > deadline:
                raise AssertionError(f"mock server did not start: {self.output.read_text()}")
            time.sleep(0.002)
        return int(self._port_file.read_text())


class WorkerTemplate:
    """A running tests/servers/worker_template.py; started when the first worker is asked for."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None
        self._one_at_a_time = threading.Lock()

    def fork(self, code: str, arguments: list[str], files: list[int]) -> int:
        with self._one_at_a_time:
            return self._fork(code, arguments, files)

    def _fork(self, code: str, arguments: list[str], files: list[int]) -> int:
        if self._orders is None:
            self._orders, theirs = socket.socketpair()
            with theirs:
                command = [sys.executable, str(SERVERS / "worker_template.py")]
                self._process = subprocess.Popen(command, stdin=theirs)
        order = {"code": code, "arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
        line = json.dumps(order).encode() + b"\n"
        sent = socket.send_fds(self._orders, [line], files)
        self._orders.sendall(line[sent:])
        return int(self._orders.recv(64))

    def end(self) -> None:
        if self._orders is not None and self._process is not None:
            self._orders.close()
            self._process.wait(STOP_LIMIT_S)


class ForkedWorker:
    """What `load.engine` needs of a `subprocess.Popen`, of a worker forked from the template."""

    def __init__(self, template: WorkerTemplate, command: list[str], stderr: Any) -> None:
        assert command[:3] == [sys.executable, "-P", "-c"]
        self._told, tell = os.pipe()
        reads, stdin = os.pipe()
        stdout, writes = os.pipe()
        self.stdin, self.stdout = open(stdin, "wb", buffering=0), open(stdout, "rb", buffering=0)  # noqa: SIM115
        self.returncode: int | None = None
        try:
            files = [reads, writes, stderr.fileno(), tell]
            self.pid = template.fork(command[3], command[4:], files)
        finally:
            for file in (reads, writes, tell):
                os.close(file)

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("load worker", timeout)
            self.returncode = int(os.read(self._told, 64))
            os.close(self._told)
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def worker_template() -> Iterator[WorkerTemplate]:
    template = WorkerTemplate()
    yield template
    template.end()


@pytest.fixture(scope="session", autouse=True)
def forked_workers(worker_template: WorkerTemplate) -> Iterator[None]:
    """Load workers of this process are forks of one: they import nothing anew."""

    def start(command: list[str], *, stderr: Any, **_: Any) -> ForkedWorker:
        return ForkedWorker(worker_template, command, stderr)

    forking = SimpleNamespace(Popen=start, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "subprocess", forking)
        yield


@pytest.fixture
def real_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load workers are started as users start them."""
    monkeypatch.setattr(engine, "subprocess", subprocess)


@pytest.fixture
def soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load gives up a server that takes no connection for 1 s, not 5."""
    hasty = "from pytest_llmserve.load import gone; gone.REFUSED_NS = 10**9; main()"
    monkeypatch.setattr(engine, "_WORKER", engine._WORKER.removesuffix("main()") + hasty)


@pytest.fixture(scope="session")
def mock_template() -> Iterator[Template]:
    template = Template()
    yield template
    template.end()


@pytest.fixture(scope="session")
def serving() -> Callable[[type[BaseHTTPRequestHandler]], contextlib.AbstractContextManager[Any]]:
    """Serve pages from a thread: ``with serving(Handler) as server``, with `url` and an empty `asked`."""

    @contextlib.contextmanager
    def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[Any]:
        server: Any = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.asked = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            server.server_close()
            thread.join(10)

    return serve


@pytest.fixture
def mock_server(tmp_path: Path, mock_template: Template) -> Iterator[Callable[..., MockServer]]:
    """Start mock servers: ``mock_server("--ttft-ms", 20, "--crlf")`` -> a `MockServer`."""
    running: list[MockServer] = []

    def start(*options: object) -> MockServer:
        folder = tmp_path / f"mock-server-{len(running)}"
        running.append(MockServer(tuple(map(str, options)), folder, mock_template))
        return running[-1]

    yield start
    for server in running:
        server.stop()

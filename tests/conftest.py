"""Servers for tests: each in a process of its own, on a free loopback port, gone when the test is over."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

pytest_plugins = ["pytester"]

# Hundreds of processes import the package here: each would compile it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
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

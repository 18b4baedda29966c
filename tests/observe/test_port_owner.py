"""Who listens on a port or at a Unix socket: real sockets, real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from types import SimpleNamespace

import psutil
import pytest

from pytest_llmserve.observe import port_owner
from pytest_llmserve.observe.port_owner import Owner, pid_listening_at, pid_listening_on
from pytest_llmserve.observe.tcp_listeners import TcpListener

LISTEN = """
import os, socket, sys
unix = sys.argv[1].startswith("/")
listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
listener.bind(sys.argv[1] if unix else (sys.argv[1], 0))
listener.listen()
for _ in range(int(sys.argv[2])):
    if os.fork() == 0:
        break
else:
    print(0 if unix else listener.getsockname()[1], flush=True)
    if len(sys.argv) > 3:
        listener.close()
        print("closed", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def serve() -> Iterator:
    """Starts a process that listens, and forks; all of them end when their input is closed."""
    started = []

    def start(address: str = "127.0.0.1", forks: int = 0, *more: str) -> tuple[int, int]:
        process = subprocess.Popen(
            [sys.executable, "-c", LISTEN, address, str(forks), *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        port = int(process.stdout.readline())
        if more:
            assert process.stdout.readline() == "closed\n"
        return process.pid, port

    yield start
    for process in started:
        process.stdin.close()
        process.wait(timeout=20)
        process.stdout.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_listener_is_found_by_its_address_and_behind_a_wildcard(address, host, serve):
    pid, port = serve(address)
    owner = pid_listening_on(host, port)
    assert owner.pid == pid
    assert owner.why == f"process {pid} ({psutil.Process(pid).name()}) listens on port {port}"


@pytest.mark.skipif(not psutil.LINUX, reason="needs several loopback addresses")
def test_another_loopback_address_is_this_machine_too(serve):
    pid, port = serve("127.0.0.2")
    assert pid_listening_on("127.0.0.2", port).pid == pid
    assert pid_listening_on("127.0.0.1", port).pid is None


def test_of_workers_that_share_a_socket_the_parent_is_named(serve):
    """psutil itself names one of the workers."""
    pid, port = serve("127.0.0.1", 3)
    assert len(psutil.Process(pid).children()) == 3
    assert pid_listening_on("127.0.0.1", port).pid == pid


def test_workers_whose_parent_has_closed_the_socket_are_several(serve):
    pid, port = serve("127.0.0.1", 2, "close")
    workers = sorted(child.pid for child in psutil.Process(pid).children())
    assert pid_listening_on("127.0.0.1", port) == Owner(
        None,
        f"several processes listen on port {port} ({workers[0]}, {workers[1]}): give --llm-server-pid",
    )


def test_a_port_without_a_listener_has_no_owner():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert pid_listening_on("127.0.0.1", port) == Owner(
            None, f"nothing on this machine listens on 127.0.0.1 port {port}", nobody=True
        )


def test_our_own_listener_is_ours():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert pid_listening_on("127.0.0.1", listener.getsockname()[1]).pid == os.getpid()


def test_a_host_elsewhere_is_not_confused_with_the_same_port_here(serve):
    """203.0.113.0/24 is reserved for documentation: no machine has it."""
    _, port = serve("0.0.0.0")
    assert pid_listening_on("203.0.113.9", port) == Owner(None, "203.0.113.9 is not this machine")


def test_a_name_that_does_not_resolve_is_said_so(monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert pid_listening_on("gpu-box", 8000) == Owner(None, "the host name gpu-box cannot be resolved")


def test_a_system_that_does_not_tell_is_said_so(monkeypatch):
    def refuse(port):
        raise psutil.AccessDenied

    monkeypatch.setattr(port_owner, "tcp_listeners", refuse)
    assert pid_listening_on("127.0.0.1", 8000) == Owner(
        None, "the system does not tell who listens on port 8000: run as root, or give --llm-server-pid"
    )


@pytest.fixture
def listener(monkeypatch):
    """``listener(pid)``: so the system tells who listens."""

    def told(pid: int | None) -> None:
        found = [TcpListener("127.0.0.1", pid)]
        monkeypatch.setattr(port_owner, "tcp_listeners", lambda port: found)

    return told


def test_another_users_process_is_said_to_be_one(listener):
    listener(None)
    assert pid_listening_on("127.0.0.1", 8000) == Owner(
        None, "another user's process listens on port 8000: run as that user, or give --llm-server-pid"
    )


def test_a_listener_that_ends_meanwhile_is_said_to_have(listener):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(timeout=20)
    listener(ended.pid)
    assert pid_listening_on("127.0.0.1", 8000) == Owner(None, "the process that listened on port 8000 ended")


def test_a_forwarder_is_not_taken_for_the_server(listener, monkeypatch):
    """Docker's proxy listens for the container; its memory says nothing of the server's."""
    listener(os.getpid())
    monkeypatch.setattr(psutil.Process, "name", lambda self: "docker-proxy")
    assert pid_listening_on("127.0.0.1", 8000) == Owner(
        None,
        "port 8000 is forwarded by docker-proxy: give --llm-container, or --llm-server-pid of the server",
    )


@pytest.fixture
def path() -> Iterator[str]:
    """A short one: pytest's own folders may be longer than a socket's path can be."""
    with tempfile.TemporaryDirectory(prefix="llmserve-") as folder:
        yield f"{folder}/s"


linux = pytest.mark.skipif(not psutil.LINUX, reason="other systems tell it to root only")


@linux
@pytest.mark.parametrize("forks", [0, 3])
def test_the_listener_at_a_unix_socket_is_found(path, forks, serve):
    """Of workers that share it, the parent; a connection that is open does not confuse."""
    pid, _ = serve(path, forks)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        owner = pid_listening_at(path)
    assert owner == Owner(pid, f"process {pid} ({psutil.Process(pid).name()}) listens at {path}")


@linux
def test_workers_at_a_unix_socket_whose_parent_has_closed_it_are_several(path, serve):
    pid, _ = serve(path, 2, "close")
    workers = sorted(child.pid for child in psutil.Process(pid).children())
    assert pid_listening_at(path) == Owner(
        None, f"several processes listen at {path} ({workers[0]}, {workers[1]}): give --llm-server-pid"
    )


def test_a_unix_socket_without_a_listener_has_no_owner(path):
    assert pid_listening_at(path) == Owner(
        None, f"nothing that this machine shows listens at {path}: give --llm-server-pid"
    )


def test_a_system_that_does_not_tell_of_unix_sockets_is_said_so(monkeypatch):
    def refuse(kind):
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refuse)
    assert pid_listening_at("/run/s") == Owner(
        None, "the system does not tell who listens at /run/s: run as root, or give --llm-server-pid"
    )


def test_another_users_unix_socket_is_said_to_be_one(monkeypatch):
    monkeypatch.setattr(psutil, "net_connections", lambda kind: [SimpleNamespace(pid=None, laddr="/run/s")])
    assert pid_listening_at("/run/s") == Owner(
        None, "another user's process listens at /run/s: run as that user, or give --llm-server-pid"
    )


def test_a_forwarder_at_a_unix_socket_is_not_taken_for_the_server(monkeypatch):
    found = SimpleNamespace(pid=os.getpid(), laddr="/run/s")
    monkeypatch.setattr(psutil, "net_connections", lambda kind: [found])
    monkeypatch.setattr(psutil.Process, "name", lambda self: "rootlessport")
    assert pid_listening_at("/run/s") == Owner(
        None, "/run/s is forwarded by rootlessport: give --llm-container, or --llm-server-pid of the server"
    )

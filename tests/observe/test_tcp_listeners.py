"""Who listens on a port: what Linux tells, and what other systems do."""

from __future__ import annotations

import os
import socket
import sys
from types import SimpleNamespace

import psutil
import pytest

from pytest_llmserve.observe.tcp_listeners import TcpListener, linux_listeners, tcp_listeners

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
REST = "00000000:00000000 00:00000000 00000000     0        0"
TCP = f"""{HEAD}\
   0: 0100007F:1F90 00000000:0000 0A {REST} 11 1 0000000000000000 100 0 0 10 0
   1: 0200007F:1F91 00000000:0000 0A {REST} 12 1 0000000000000000 100 0 0 10 0
   2: 0100007F:C350 0100007F:1F90 06 {REST} 0 3 0000000000000000
   3: 0100007F:1F90 0100007F:C352 01 {REST} 13 1 0000000000000000 20 4 30 10 -1
"""
TCP6 = f"{HEAD}   0: {'0' * 32}:1F90 {'0' * 32}:0000 0A {REST} 21 1 0000000000000000 100 0 0 10 0\n"


@pytest.fixture
def root(tmp_path):
    """A process file system in which 70 holds both listeners on 8080 in part, and 90 nothing of them."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TCP)
    for pid, links in {"70": ["socket:[11]", "/dev/null"], "90": ["socket:[13]"]}.items():
        (tmp_path / pid / "fd").mkdir(parents=True)
        for number, link in enumerate(links):
            (tmp_path / pid / "fd" / str(number)).symlink_to(link)
    (tmp_path / "80").mkdir()  # another user's: what it has open is not shown
    return tmp_path


@pytest.mark.skipif(sys.byteorder != "little", reason="the text is a little-endian machine's")
def test_only_sockets_that_listen_on_the_port_count(root):
    """Not those that are connected to it, in TIME_WAIT, or accepted there; IPv6 may be missing."""
    assert linux_listeners(8080, root) == [TcpListener("127.0.0.1", 70)]
    assert linux_listeners(8081, root) == [TcpListener("127.0.0.2", None)]
    assert linux_listeners(50000, root) == []
    (root / "net" / "tcp6").write_text(TCP6)
    assert linux_listeners(8080, root) == [TcpListener("127.0.0.1", 70), TcpListener("::", None)]


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_real_listener_is_found(family, address):
    """As psutil finds it."""
    if family == socket.AF_INET6 and not os.path.exists("/proc/net/tcp6"):
        pytest.skip("no IPv6 here")
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        assert tcp_listeners(port) == [TcpListener(address, os.getpid())]


def test_other_systems_are_asked_through_psutil(monkeypatch):
    """Which has every connection of theirs."""
    found = [
        SimpleNamespace(status=status, pid=5, laddr=SimpleNamespace(ip="::1", port=port))
        for status, port in (("LISTEN", 80), ("LISTEN", 81), ("ESTABLISHED", 80))
    ]
    monkeypatch.setattr(psutil, "LINUX", False)
    monkeypatch.setattr(psutil, "net_connections", lambda kind: found)
    assert tcp_listeners(80) == [TcpListener("::1", 5)]

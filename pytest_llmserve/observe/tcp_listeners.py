"""TCP sockets that listen on a port, and whose they are."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

_LISTEN = b"0A"


class TcpListener(msgspec.Struct, frozen=True):
    """One socket.

    Attributes:
        ip: its address.
        pid: of a process that holds it; None = the system does not tell.
    """

    ip: str
    pid: int | None


def tcp_listeners(port: int) -> list[TcpListener]:
    """All that listen on a port of this machine.

    Raises:
        psutil.AccessDenied: the system does not tell.
    """
    import psutil

    if psutil.LINUX:
        return linux_listeners(port, Path("/proc"))
    return [
        TcpListener(each.laddr.ip, each.pid)
        for each in psutil.net_connections(kind="tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port
    ]


def linux_listeners(port: int, root: Path) -> list[TcpListener]:
    """The same of Linux, from its process file system.

    psutil decodes every connection, of which a load may leave 28,000 in TIME_WAIT.
    """
    found = [each for name in ("tcp", "tcp6") for each in _sockets(root / "net" / name, port)]
    owners = _owners({inode for _, inode in found}, root) if found else {}
    return [TcpListener(ip, owners.get(inode)) for ip, inode in found]


def _sockets(table: Path, port: int) -> Iterator[tuple[str, str]]:
    """(address, inode) of each that listens on the port (man 5 proc_net)."""
    try:
        lines = table.read_bytes().splitlines()
    except FileNotFoundError:  # a system without IPv6
        return
    ours = b":%04X" % port
    for line in lines:
        if ours in line:
            local, _, state, *_ = fields = line.split()[1:]
            if state == _LISTEN and local.endswith(ours):
                yield _ip(local.partition(b":")[0]), fields[8].decode()


def _ip(words: bytes) -> str:
    """One word of 32 bits, or four, each in the machine's own order."""
    packed = b"".join(
        int(words[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(words), 8)
    )
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _owners(inodes: set[str], root: Path) -> dict[str, int]:
    """A process that has each open, as far as they are shown; servers are among the latest, as a rule."""
    links = {f"socket:[{inode}]": inode for inode in inodes}
    owners: dict[str, int] = {}
    for pid in sorted((int(name) for name in os.listdir(root) if name.isdigit()), reverse=True):
        for link in _open_files(root / str(pid) / "fd"):
            if link in links:
                owners.setdefault(links[link], pid)
        if len(owners) == len(inodes):
            break
    return owners


def _open_files(folder: Path) -> Iterator[str]:
    """What a process has open; nothing of one that has ended or is another user's."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"{folder}/{name}")
        except OSError:  # closed meanwhile
            continue

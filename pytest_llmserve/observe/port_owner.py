"""Which process listens on a port, or at a Unix socket."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import msgspec

from pytest_llmserve.observe.tcp_listeners import tcp_listeners

# They listen for a server in a container or another namespace; their own figures say nothing of it.
FORWARDERS = frozenset({"docker-proxy", "rootlessport", "slirp4netns", "pasta", "passt"})

WAY_OUT = "give --llm-server-pid"

Listens = Callable[[Any], bool]


class Owner(msgspec.Struct, frozen=True):
    """The process behind a port, or None and why it is not known.

    Attributes:
        why: one sentence in either case.
        nobody: it is known that no process listens there.
    """

    pid: int | None
    why: str
    nobody: bool = False


def pid_listening_on(host: str, port: int) -> Owner:
    """Find the process that listens on a host's port, when that is this machine.

    Of several processes that share the socket (a server with worker processes) the one
    all others descend from.
    """
    import psutil

    addresses = _addresses(host, port)
    if not addresses:
        return Owner(None, f"the host name {host} cannot be resolved")
    if not any(map(_is_loopback, addresses)) and not addresses & _own_addresses():
        return Owner(None, f"{host} is not this machine")
    try:
        listeners = tcp_listeners(port)
    except psutil.AccessDenied:
        return Owner(None, f"the system does not tell who listens on port {port}: run as root, or {WAY_OUT}")
    listens: Listens = lambda connection: _listens(connection, addresses, port)  # noqa: E731
    found = [each.pid for each in listeners if _is_at(each.ip, addresses)]
    if not found:
        return Owner(None, f"nothing on this machine listens on {host} port {port}", nobody=True)
    if None in found:
        return Owner(None, f"another user's process listens on port {port}: run as that user, or {WAY_OUT}")
    return _judge_owner(
        _top_most({pid for pid in found if pid is not None}, "tcp", listens), f"on port {port}"
    )


def pid_listening_at(path: str) -> Owner:
    """Find the process that listens at a Unix socket; as `pid_listening_on`."""
    import psutil

    try:
        connections = psutil.net_connections(kind="unix")
    except psutil.AccessDenied:
        return Owner(None, f"the system does not tell who listens at {path}: run as root, or {WAY_OUT}")
    # A connection that a server has accepted carries the socket's name too.
    listens: Listens = lambda connection: connection.laddr == path  # noqa: E731
    found = [c.pid for c in connections if listens(c)]
    if not found:
        return Owner(None, f"nothing that this machine shows listens at {path}: {WAY_OUT}")
    pids = {pid for pid in found if pid is not None}
    if not pids:
        return Owner(None, f"another user's process listens at {path}: run as that user, or {WAY_OUT}")
    return _judge_owner(_top_most(pids, "unix", listens), f"at {path}")


def _addresses(host: str, port: int) -> set[str]:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {_plain(str(info[4][0])) for info in infos}


def _own_addresses() -> set[str]:
    import psutil

    own = {"0.0.0.0", "::"}
    for interfaces in psutil.net_if_addrs().values():
        own |= {_plain(a.address) for a in interfaces if a.family in (socket.AF_INET, socket.AF_INET6)}
    return own


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _plain(address: str) -> str:
    """An address without a scope, and without the IPv6 dress of an IPv4 one."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


def _listens(connection: Any, addresses: set[str], port: int) -> bool:
    if connection.status != "LISTEN" or connection.laddr.port != port:
        return False
    return _is_at(connection.laddr.ip, addresses)


def _is_at(ip: str, addresses: set[str]) -> bool:
    return _plain(ip) in addresses | {"0.0.0.0", "::"}


def _top_most(pids: set[int], kind: str, listens: Listens) -> set[int]:
    """Owners that descend from no other owner.

    psutil names one process for a socket that several share, the last it came upon, so
    relatives are asked themselves.
    """
    import psutil

    tops = set()
    for pid in pids:
        try:
            lineage = psutil.Process(pid).parents()
            siblings = lineage[0].children() if lineage else []
        except psutil.NoSuchProcess:  # ended since it was found
            continue
        sharing = [parent for parent in lineage if _shares(parent, kind, listens)]
        if sharing:
            tops.add(sharing[-1].pid)
        else:
            tops |= {pid} | {s.pid for s in siblings if s.pid != pid and _shares(s, kind, listens)}
    return tops


def _shares(process: Any, kind: str, listens: Listens) -> bool:
    import psutil

    try:
        return any(map(listens, process.net_connections(kind=kind)))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _judge_owner(tops: set[int], where: str) -> Owner:
    import psutil

    if not tops:
        return Owner(None, f"the process that listened {where} ended")
    if len(tops) > 1:
        named = ", ".join(map(str, sorted(tops)))
        return Owner(None, f"several processes listen {where} ({named}): {WAY_OUT}")
    pid = next(iter(tops))
    try:
        name = psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return Owner(None, f"the process {pid} that listened {where} ended")
    if name in FORWARDERS:
        what = where.partition(" ")[2]
        return Owner(
            None, f"{what} is forwarded by {name}: give --llm-container, or --llm-server-pid of the server"
        )
    return Owner(pid, f"process {pid} ({name}) listens {where}")

"""Which process listens on a port."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import msgspec

# They listen for a server in a container or another namespace; their own figures say nothing of it.
FORWARDERS = frozenset({"docker-proxy", "rootlessport", "slirp4netns", "pasta", "passt"})

WAY_OUT = "give --llm-server-pid"


class Owner(msgspec.Struct, frozen=True):
    """The process behind a port, or None and why it is not known.

    Attributes:
        why: one sentence in either case.
    """

    pid: int | None
    why: str


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
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return Owner(None, f"the system does not tell who listens on port {port}: run as root, or {WAY_OUT}")
    found = [c.pid for c in connections if _listens(c, addresses, port)]
    if not found:
        return Owner(None, f"nothing on this machine listens on {host} port {port}")
    if None in found:
        return Owner(None, f"another user's process listens on port {port}: run as that user, or {WAY_OUT}")
    return _judge_owner(_top_most({pid for pid in found if pid is not None}, addresses, port), port)


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
    return _plain(connection.laddr.ip) in addresses | {"0.0.0.0", "::"}


def _top_most(pids: set[int], addresses: set[str], port: int) -> set[int]:
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
        sharing = [parent for parent in lineage if _shares(parent, addresses, port)]
        if sharing:
            tops.add(sharing[-1].pid)
        else:
            tops |= {pid} | {s.pid for s in siblings if s.pid != pid and _shares(s, addresses, port)}
    return tops


def _shares(process: Any, addresses: set[str], port: int) -> bool:
    import psutil

    try:
        return any(_listens(c, addresses, port) for c in process.net_connections(kind="tcp"))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _judge_owner(tops: set[int], port: int) -> Owner:
    import psutil

    if not tops:
        return Owner(None, f"the process that listened on port {port} ended")
    if len(tops) > 1:
        named = ", ".join(map(str, sorted(tops)))
        return Owner(None, f"several processes listen on port {port} ({named}): {WAY_OUT}")
    pid = next(iter(tops))
    try:
        name = psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return Owner(None, f"the process {pid} that listened on port {port} ended")
    if name in FORWARDERS:
        return Owner(None, f"port {port} is forwarded by {name}: {WAY_OUT} of the server itself")
    return Owner(pid, f"process {pid} ({name}) listens on port {port}")

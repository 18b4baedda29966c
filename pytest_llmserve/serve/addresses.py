"""Names to addresses, and which addresses are this machine's."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from pytest_llmserve.domain.errors import ServerUnusable

Address = tuple[int, Any]
"""(family, sockaddr), as `socket.socket(family).connect(sockaddr)` takes them."""

_CONNECT_LIMIT_S = 2.0


def resolve(host: str, port: int) -> tuple[Address, ...]:
    """All TCP addresses of a host; the first one that takes a connection comes first.

    "localhost" often is ::1 and 127.0.0.1 while the server listens on one of them.

    Raises:
        ServerUnusable: the name is not known.
    """
    found = _lookup(host, port)
    for address in found if len(found) > 1 else ():
        if _connects(address):
            return (address, *(other for other in found if other != address))
    return found


def local_address(host: str) -> bool:
    """True when the host is this machine: loopback, or an address of one of its interfaces."""
    try:
        found = _lookup(host, 0)
    except ServerUnusable:
        return False
    return any(_own(family, sockaddr) for family, sockaddr in found)


def _lookup(host: str, port: int) -> tuple[Address, ...]:
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerUnusable(
            f"host {host!r} is not known ({error}): check the endpoint's URL and this machine's name service"
        ) from None
    return tuple(dict.fromkeys((int(row[0]), row[4]) for row in rows))


def _connects(address: Address) -> bool:
    family, sockaddr = address
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(_CONNECT_LIMIT_S)
            probe.connect(sockaddr)
    except OSError:
        return False
    return True


def _own(family: int, sockaddr: Any) -> bool:
    if ipaddress.ip_address(sockaddr[0].partition("%")[0]).is_loopback:
        return True
    try:
        # Only an address of an own interface can be bound; no traffic is needed to find out.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(sockaddr)
    except OSError:
        return False
    return True

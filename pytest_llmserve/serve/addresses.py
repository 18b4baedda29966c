"""Which addresses are this machine's."""

from __future__ import annotations

import ipaddress
import socket

from pytest_llmserve.domain.addresses import Address, look_up
from pytest_llmserve.domain.errors import ServerUnusable


def local_address(host: str) -> bool:
    """True when the host is this machine: loopback, or an address of one of its interfaces."""
    try:
        found = look_up(host, 0)
    except ServerUnusable:
        return False
    return any(map(_own, found))


def _own(address: Address) -> bool:
    family, sockaddr = address
    if ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]).is_loopback:
        return True
    try:
        # Only an address of an own interface can be bound; no traffic is needed to find out.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(sockaddr)
    except OSError:
        return False
    return True

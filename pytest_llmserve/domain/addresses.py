"""Names to addresses: looked up once, by a deadline, and the first that takes a connection."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.domain.target import Target

Address = tuple[int, str | tuple[str | int, ...]]
"""(family, sockaddr), as `socket.socket(family).connect(sockaddr)` takes them."""

_LOOKUP_LIMIT_S = 10.0
_CONNECT_LIMIT_S = 2.0


def addresses_of(target: Target) -> tuple[Address, ...]:
    """Where a target may be found; the first is to be used.

    Raises:
        ServerUnusable: the host's name is not known, or the name service does not answer.
    """
    if target.socket_path is not None:
        return ((int(socket.AF_UNIX), target.socket_path),)
    return resolve(target.host, target.port)


def resolve(host: str, port: int) -> tuple[Address, ...]:
    """All TCP addresses of a host; the first one that takes a connection comes first.

    "localhost" often is ::1 and 127.0.0.1 while the server listens on one of them.

    Raises:
        ServerUnusable: the name is not known, or the name service does not answer.
    """
    found = look_up(host, port)
    for address in found if len(found) > 1 else ():
        if connect_error(address) is None:
            return (address, *(other for other in found if other != address))
    return found


def look_up(host: str, port: int, limit_s: float = _LOOKUP_LIMIT_S) -> tuple[Address, ...]:
    """All TCP addresses of a host, in the system's order.

    Raises:
        ServerUnusable: the name is not known, or the name service does not answer within `limit_s`.
    """
    answer: list[Any] = []

    def ask() -> None:
        try:
            answer.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.append(error)

    # The system's look-up knows no limit and cannot be ended; a daemon does not hold up the exit.
    thread = threading.Thread(target=ask, name="llmserve-lookup", daemon=True)
    thread.start()
    thread.join(limit_s)
    way_out = "check the endpoint's URL and this machine's name service"
    if not answer:
        raise ServerUnusable(
            f"host {host!r}: the name service did not answer within {limit_s:g} s: {way_out}"
        )
    if isinstance(answer[0], Exception):
        raise ServerUnusable(f"host {host!r} is not known ({answer[0]}): {way_out}")
    return tuple(dict.fromkeys((int(row[0]), row[4]) for row in answer[0]))


def connect_error(address: Address, limit_s: float = _CONNECT_LIMIT_S) -> str | None:
    """Why an address takes no connection, in the system's words; None when it does."""
    family, sockaddr = address
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(limit_s)
            probe.connect(sockaddr)
    except TimeoutError:
        return f"no connection within {limit_s:g} s"
    except OSError as error:
        return (os.strerror(error.errno) if error.errno else str(error)).lower()
    return None


def attempts(addresses: tuple[Address, ...], limit_s: float) -> str:
    """Try each address, `limit_s` for all together; "::1: connection refused; 127.0.0.1: ..."."""
    deadline = time.monotonic() + limit_s
    said = []
    for family, sockaddr in addresses:
        left_s = max(0.05, min(_CONNECT_LIMIT_S, deadline - time.monotonic()))
        error = connect_error((family, sockaddr), left_s)
        name = sockaddr if isinstance(sockaddr, str) else sockaddr[0]
        said.append(f"{name}: {error or 'takes connections'}")
    return "; ".join(said)

"""The one address a run sends to, looked up once."""

from __future__ import annotations

import socket

from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.load.job import Address

_CONNECT_LIMIT_S = 5.0


def pick_address(host: str, port: int) -> Address:
    """Return the first address of a host that takes a connection, else its first.

    "localhost" is often ::1 and 127.0.0.1 while the server listens on one of them.

    Raises:
        ServerUnusable: the name is not known.
    """
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerUnusable(f"host {host!r} is not known ({error}): check the endpoint's URL") from None
    found: list[Address] = [(int(row[0]), (str(row[4][0]), int(row[4][1]))) for row in rows]
    for address in found if len(found) > 1 else []:
        if _connects(address):
            return address
    return found[0]


def _connects(address: Address) -> bool:
    family, where = address
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(_CONNECT_LIMIT_S)
            probe.connect(where)
    except OSError:
        return False
    return True

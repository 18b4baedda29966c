"""One request over a socket of its own, byte for byte."""

from __future__ import annotations

import socket
import ssl

from pytest_llmserve.domain.addresses import Address
from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.trust import tls_context
from pytest_llmserve.serve.exchange import merged_headers

_CONNECT_LIMIT_S = 10.0


def request_bytes(target: Target, request: HttpRequest) -> tuple[bytes, bytes]:
    """(head, body) as they go over the wire.

    Raises:
        SetupError: a header or the path cannot be sent.
    """
    headers = [*merged_headers(target, request), ("Content-Length", str(len(request.body)))]
    return head_bytes(request, headers), request.body


def head_bytes(request: HttpRequest, headers: list[tuple[str, str]]) -> bytes:
    """All that comes before a body."""
    lines = [
        f"{request.method} {request.sent_path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def context_of(target: Target) -> ssl.SSLContext | None:
    """For TLS, where the target wants it."""
    return tls_context(target.trust) if target.scheme == "https" else None


def connected(
    target: Target, address: Address, context: ssl.SSLContext | None, limit_s: float
) -> socket.socket:
    """A connection to the target, with TLS where there is a context.

    Raises:
        OSError: there is none within the limit, or within 10 s.
    """
    family, sockaddr = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(min(_CONNECT_LIMIT_S, limit_s))
        sock.connect(sockaddr)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            return context.wrap_socket(sock, server_hostname=target.server_name)
    except BaseException:
        sock.close()
        raise
    return sock

"""Where a page of metrics is, and asking for it: one GET by a deadline, of a bounded body."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from pytest_llmserve.domain.addresses import look_up
from pytest_llmserve.domain.errors import ServerUnusable, SetupError
from pytest_llmserve.domain.target import Target, target_from_url
from pytest_llmserve.domain.trust import SYSTEM_TRUST, Trust, tls_context, tls_fault

if TYPE_CHECKING:
    from http.client import HTTPResponse

MOST_BYTES = 10_000_000
PATH = "/metrics"
_REDIRECTS = frozenset({301, 302, 307, 308})


class PageFault(Exception):
    """A page that was not got: its text says of which URL, and what happened instead."""


@dataclass(frozen=True, kw_only=True)
class PageAddress:
    """Where a page is, and what is sent along.

    Attributes:
        url: as the user gave it, without its query; for messages.
        target: scheme, host and port, or the socket.
        request: path and query.
        headers: may hold secrets.
    """

    url: str
    target: Target
    request: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    trust: Trust = SYSTEM_TRUST


def address_of(url: str, endpoint: Target | None = None) -> PageAddress:
    """Where a page is. A URL without a path means /metrics.

    Args:
        url: http, https or http+unix; a query is sent with it.
        endpoint: the server under test. Its headers, which may hold a key, and its client certificate
            go to a page of its own origin and nowhere else; the authorities that are trusted are the same.

    Raises:
        SetupError: not such a URL.
    """
    try:
        parts = urlsplit(url.strip())
        target = target_from_url(urlunsplit(parts._replace(path=parts.path or PATH, query="", fragment="")))
    except (ValueError, SetupError):
        shown = "" if "@" in url else f" {url!r}"  # it may hold a password
        raise SetupError(
            f"--llm-metrics-url{shown}: give an http:// or https:// URL without user and password,"
            " such as http://127.0.0.1:8000/metrics"
        ) from None
    path = target.path or PATH
    if target.socket_path is None and parts.path.strip("/"):
        path = parts.path  # as given, with the slash at its end
    request = f"{path}?{parts.query}" if parts.query else path
    own = endpoint is not None and _origin(endpoint) == _origin(target)
    trust = SYSTEM_TRUST if endpoint is None else endpoint.trust
    if endpoint is not None and not own:
        trust = Trust(ca=trust.ca, insecure=trust.insecure)
    headers = endpoint.headers if endpoint is not None and own else ()
    shown = url.strip().partition("?")[0]  # a query may hold a token
    return PageAddress(url=shown, target=target, request=request, headers=headers, trust=trust)


def own_page(endpoint: Target) -> PageAddress:
    """Where most servers have theirs: /metrics of the endpoint's origin."""
    url = Target(
        scheme=endpoint.scheme,
        host=endpoint.host,
        port=endpoint.port,
        socket_path=endpoint.socket_path,
        path=PATH,
    ).url
    return address_of(url, endpoint)


def get_page(address: PageAddress, limit_s: float, most_bytes: int = MOST_BYTES) -> bytes:
    """The page's text; one redirection within its origin is followed.

    Raises:
        PageFault: it was not got; the text says why.
    """
    from http.client import HTTPException

    deadline_s = time.monotonic() + limit_s
    try:
        with _ask(address, address.request, deadline_s) as answer:
            moved = _moved(address, answer)
            if moved is None:
                return _body(address, answer, most_bytes)
        with _ask(address, moved, deadline_s) as answer:
            return _body(address, answer, most_bytes)
    except (OSError, HTTPException, ValueError) as error:
        raise PageFault(_said(address.url, error, limit_s)) from None


def _body(address: PageAddress, answer: HTTPResponse, most_bytes: int) -> bytes:
    if answer.status != 200:
        raise PageFault(f"{address.url} answered {answer.status}")
    body = answer.read(most_bytes + 1)
    if len(body) > most_bytes:
        raise PageFault(f"{address.url} sends more than {most_bytes // 1_000_000} MB")
    if answer.length:  # a number that is cut would be a wrong one
        raise PageFault(f"{address.url} ended its answer {answer.length} bytes early")
    return body


def _ask(address: PageAddress, request: str, deadline_s: float) -> HTTPResponse:
    """Send one request; the answer's head is read, its body is not. The connection ends with the answer."""
    from http.client import HTTPConnection

    ours = {"Accept": "text/plain;version=0.0.4", "User-Agent": "pytest-llmserve"}
    # Never kept open: some servers give each connection one of few threads.
    ours |= {"Host": address.target.authority, "Connection": "close"}
    theirs = {name.lower() for name, _ in address.headers}
    headers = {name: value.encode() for name, value in ours.items() if name.lower() not in theirs}
    headers |= {name: value.encode() for name, value in address.headers}
    connection = HTTPConnection(address.target.server_name, address.target.port)
    sock = TimedSocket(_connected(address, deadline_s), deadline_s)
    connection.sock = sock
    try:
        connection.request("GET", request, headers=headers)
        return connection.getresponse()
    finally:
        sock.close()  # the answer keeps it open until it is read


def _connected(address: PageAddress, deadline_s: float) -> socket.socket:
    target = address.target
    left_s = max(0.001, deadline_s - time.monotonic())
    if target.socket_path is not None:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(left_s)
            sock.connect(target.socket_path)
        except BaseException:
            sock.close()
            raise
        return sock
    sock = _dialled(target, deadline_s)
    if target.scheme != "https":
        return sock
    try:
        sock.settimeout(max(0.001, deadline_s - time.monotonic()))
        return tls_context(address.trust).wrap_socket(sock, server_hostname=target.server_name)
    except BaseException:
        sock.close()
        raise


def _dialled(target: Target, deadline_s: float) -> socket.socket:
    """A connection to the first address that takes one; those still to be tried share the time left."""
    try:
        found = look_up(target.host, target.port, max(0.001, deadline_s - time.monotonic()))
    except ServerUnusable:
        raise (TimeoutError if time.monotonic() >= deadline_s else socket.gaierror) from None
    fault = OSError()
    for tried, (family, where) in enumerate(found):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(0.001, (deadline_s - time.monotonic()) / (len(found) - tried)))
            sock.connect(where)
        except OSError as error:
            fault = error
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise fault


class TimedSocket:
    """A socket as http.client uses it, where each wait ends at one common deadline.

    The time limit of a socket holds for each read alone: an answer that drips would take for ever.
    """

    def __init__(self, sock: socket.socket, deadline_s: float) -> None:
        self._sock = sock
        self._deadline_s = deadline_s

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._timed()
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - http.client reads bytes only
        """What is received, as a file."""
        return io.BufferedReader(_Received(self._sock.makefile("rb", buffering=0), self._timed))

    def close(self) -> None:
        """Close it, once the file is closed too."""
        self._sock.close()

    def _timed(self) -> None:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(left_s)


class _Received(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, before: Callable[[], None]) -> None:
        self._raw = raw
        self._before = before

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._before()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _moved(address: PageAddress, answer: HTTPResponse) -> str | None:
    """Path and query that a redirection within the origin leads to; None of another answer."""
    place = answer.getheader("Location")
    if answer.status not in _REDIRECTS or not place:
        return None
    parts = urlsplit(urljoin(f"{address.target.origin}{address.request}", place))
    origin = f"{parts.scheme}://{parts.netloc}"
    if origin != address.target.origin:
        raise PageFault(f"{address.url} answered {answer.status}: it is at {origin}{parts.path}")
    return urlunsplit(("", "", parts.path or "/", parts.query, ""))


def _origin(target: Target) -> tuple[str, str, int, str | None]:
    return target.scheme, target.host.lower(), target.port, target.socket_path


def _said(url: str, error: Exception, limit_s: float) -> str:
    import ssl

    if isinstance(error, TimeoutError):
        return f"{url} did not answer within {limit_s:g} s"
    if isinstance(error, ssl.SSLError):
        return f"{url}: {tls_fault(error)}"
    if isinstance(error, socket.gaierror):
        return f"{url}: the host is not known"
    if isinstance(error, OSError):
        return f"{url}: {(error.strerror or str(error) or type(error).__name__).lower()}"
    return f"{url} did not answer in HTTP ({type(error).__name__})"

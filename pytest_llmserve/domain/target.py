"""The server under test, as plain data that travels to the load workers."""

from __future__ import annotations

import os
import re
import sys
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.trust import SYSTEM_TRUST, Trust

UNIX_SCHEME = "http+unix"
_CREDENTIALS = "endpoint URL holds a user or password: use --llm-api-key-env or --llm-header instead"
_HINT = "give one like http://127.0.0.1:8000 or https://host/path"
_UNIX_HINT = "give one like http+unix://%2Frun%2Fserver.sock/v1, the socket's whole path with %2F for /"
# sun_path of unix(7), less the closing zero.
_LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests go and in which dialect.

    Attributes:
        host: name or address, an IPv6 address without brackets, perhaps with "%zone".
        socket_path: of the Unix socket that is used instead of host and port.
        path: path of the user's URL, without a trailing slash; "" for a bare host.
        headers: sent with each request; may hold secrets, so never written to a report.
        key_env: environment variable whose key is among the headers, or None.
        trust: how an https server's certificate is checked.
        stream: ask for a streamed answer.
        stream_usage: the server was seen to take `stream_options` (asks for token counts).
        limit_name: the field that the server was seen to take for the length of an answer, see
            `Dialect.limit_names`; None = not known.
        json_request: template of the `json` and `gradio` dialects, a JSON text holding "{prompt}".
        json_answer: path to the answer in the `json` dialect, such as "choices.0.text".
        replica_header: header of an answer, in lower case, that names who behind the URL gave it; or None.
        keep_text: what is told of an answer may repeat what was said.
        beside: further servers or models that a load asks by turns with this one, see `replicas`.
    """

    scheme: str
    host: str
    port: int
    socket_path: str | None = None
    path: str = ""
    api: str = "auto"
    model: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    key_env: str | None = None
    trust: Trust = SYSTEM_TRUST
    stream: bool = True
    stream_usage: bool = False
    limit_name: str | None = None
    json_request: str | None = None
    json_answer: str | None = None
    replica_header: str | None = None
    keep_text: bool = False
    beside: tuple[Target, ...] = ()

    def __repr__(self) -> str:
        # Without headers: pytest prints the values of a failed assert.
        return f"Target(url={self.url!r}, api={self.api!r}, model={self.model!r})"

    @property
    def server_name(self) -> str:
        """The host as a certificate and a Host header name it, without a zone (RFC 6874, 3)."""
        return self.host.partition("%")[0]

    @property
    def authority(self) -> str:
        """Host and port as they stand in the Host header."""
        return self._at(self.server_name)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the requests, without a path."""
        return f"{self.scheme}://{self._at(self.host)}"

    @property
    def url(self) -> str:
        """The URL as the user gave it, without credentials."""
        if self.socket_path is not None:
            return f"{UNIX_SCHEME}://{quote(self.socket_path, safe='')}{self.path}"
        return f"{self.scheme}://{self._at(self.host.replace('%', '%25'))}{self.path}"

    def _at(self, host: str) -> str:
        shown = f"[{host}]" if ":" in host else host
        default = 443 if self.scheme == "https" else 80
        return shown if self.port == default else f"{shown}:{self.port}"


def target_from_url(url: str) -> Target:
    """Parse the user's endpoint URL: http, https, or http+unix with a socket's path for the host.

    Raises:
        SetupError: not such a URL, or it carries credentials or a query.
    """
    try:
        parts = urlsplit(url.strip())
        port = None if parts.scheme == UNIX_SCHEME else parts.port
    except ValueError as error:
        if "@" in url:
            raise SetupError(_CREDENTIALS) from None
        raise SetupError(f"endpoint {_shown(url)} is not a URL ({error}); {_HINT}") from None
    if parts.username or parts.password:
        raise SetupError(_CREDENTIALS)
    if parts.query or parts.fragment:
        raise SetupError(f"endpoint {_shown(url)} has a query or fragment; give it without")
    if parts.scheme == UNIX_SCHEME:
        return _unix_target(url, parts)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SetupError(f"endpoint {url!r} is not an http or https URL; {_HINT}")
    return Target(
        scheme=parts.scheme,
        host=parts.hostname.replace("%25", "%", 1),
        port=port or (443 if parts.scheme == "https" else 80),
        path=parts.path.rstrip("/"),
    )


def _shown(url: str) -> str:
    """Quoted, without its query or fragment: a key may stand there."""
    cut = re.search(r"[?#]", url)
    return repr(url if cut is None else f"{url[: cut.end()]}***")


def _unix_target(url: str, parts: SplitResult) -> Target:
    # Without percent signs the path ends up behind an empty host: http+unix:///run/server.sock.
    path = unquote(parts.netloc)
    if not path.startswith("/") or "\0" in path:
        raise SetupError(f"endpoint {url!r} does not name a socket; {_UNIX_HINT}")
    size_bytes = len(os.fsencode(path))
    if size_bytes > _LONGEST_SOCKET_PATH:
        raise SetupError(
            f"endpoint {url!r}: the socket's path has {size_bytes} bytes, the system takes"
            f" {_LONGEST_SOCKET_PATH}: let the server listen at a shorter one"
        )
    return Target(scheme="http", host="localhost", port=80, socket_path=path, path=parts.path.rstrip("/"))

"""The server under test, as plain data that travels to the load workers."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from pytest_llmserve.domain.errors import SetupError


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests go and in which dialect.

    Attributes:
        path: path of the user's URL, without a trailing slash; "" for a bare host.
        headers: sent with each request; may hold secrets, so never written to a report.
        stream: ask for a streamed answer.
        stream_usage: the server was seen to take `stream_options` (asks for token counts).
        json_request: template of the `json` dialect, a JSON text holding "{prompt}".
        json_answer: path to the answer in the `json` dialect, such as "choices.0.text".
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    api: str = "auto"
    model: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    stream: bool = True
    stream_usage: bool = False
    json_request: str | None = None
    json_answer: str | None = None

    def __repr__(self) -> str:
        # Without headers: pytest prints the values of a failed assert.
        return f"Target(url={self.url!r}, api={self.api!r}, model={self.model!r})"

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL and in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The URL as the user gave it, without credentials."""
        return self.origin + self.path


def target_from_url(url: str) -> Target:
    """Parse the user's endpoint URL.

    Raises:
        SetupError: not an http(s) URL with a host, or it carries credentials or a query.
    """
    hint = "give one like http://127.0.0.1:8000 or https://host/path"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise SetupError(f"endpoint {url!r} is not a URL ({error}); {hint}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SetupError(f"endpoint {url!r} is not an http or https URL; {hint}")
    if parts.username or parts.password:
        raise SetupError(
            "endpoint URL holds a user or password: use --llm-api-key-env or --llm-header instead"
        )
    if parts.query or parts.fragment:
        raise SetupError(f"endpoint {url!r} has a query or fragment; give it without")
    return Target(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or (443 if parts.scheme == "https" else 80),
        path=parts.path.rstrip("/"),
    )

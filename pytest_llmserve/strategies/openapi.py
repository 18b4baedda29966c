"""Requests drawn from the server's own OpenAPI document, by schemathesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pytest_llmserve.domain.errors import MissingExtra, ServerUnusable, SetupError
from pytest_llmserve.domain.units import NS_PER_S, duration_ns

_DOCUMENT = "/openapi.json"
_ENDINGS = (".json", ".yaml", ".yml")


def schema_of(
    server: str | Mapping[str, Any],
    *,
    base_url: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | str = "30s",
) -> Any:
    """The schemathesis schema of a server, set up to call that server.

    What it offers is schemathesis' own: `schema.parametrize()`, `schema[path][method].as_strategy()`.

    Args:
        server: its URL, or that of its document (which ends in .json, .yaml or .yml), or the document itself.
            Without a document named, /openapi.json is asked for, at the root of the URL.
        base_url: where requests go; by default the host that the document came from.
        headers: sent with every request, that for the document too.
        timeout: limit of each request, in seconds or as "30s".

    Raises:
        MissingExtra: schemathesis is not installed.
        SetupError: not an http URL, a document without `base_url`, or no duration.
        ServerUnusable: there is no such document, or it is none.
    """
    limit_s = _seconds(timeout)
    sent = dict(headers or {})
    source = _document_url(server) if isinstance(server, str) else dict(server)
    if base_url is None and not isinstance(source, str):
        raise SetupError('schema_of: a document does not say where its server is; give base_url="http://..."')
    schema = _loaded(source, sent, limit_s)
    schema.config.update(headers=sent, request_timeout=limit_s)
    if base_url is not None:
        schema.config.update(base_url=base_url)
    return schema


def _seconds(timeout: float | str) -> float:
    try:
        return duration_ns(timeout) / NS_PER_S
    except ValueError as error:
        raise SetupError(f"schema_of: timeout: {error}") from None


def _document_url(server: str) -> str:
    url = urlsplit(server)
    if url.scheme not in ("http", "https") or not url.netloc:
        raise SetupError(
            f"schema_of: {server!r} is no http URL; schemathesis reaches no other server, "
            "give one like http://127.0.0.1:8000"
        )
    return server if url.path.endswith(_ENDINGS) else f"{url.scheme}://{url.netloc}{_DOCUMENT}"


def _loaded(source: str | dict[str, Any], headers: dict[str, str], limit_s: float) -> Any:
    try:
        import schemathesis
    except ImportError:
        raise MissingExtra("schemathesis", "pip install 'pytest-llmserve[openapi]'") from None
    try:
        if isinstance(source, str):
            return schemathesis.openapi.from_url(source, headers=headers, timeout=limit_s)
        return schemathesis.openapi.from_dict(source)
    except schemathesis.errors.LoaderError as error:
        where = f"at {source}" if isinstance(source, str) else "in what was given"
        raise ServerUnusable(
            f"no OpenAPI document {where}: {error}; give the URL of the document, or the document itself "
            "with base_url="
        ) from None

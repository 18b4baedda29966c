"""Just enough HTTP/1.1 for a server that answers badly on purpose."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
FRAMINGS = ("chunked", "content-length", "close")


@dataclass(frozen=True)
class Request:
    """A request read in full; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    received_ns: int


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection, or None when the client has closed it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, path, _version = first.split(" ", 2)
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        body = await _read_body(reader, headers)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Request(method, path, headers, body, time.monotonic_ns())


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return body


def head(status: int, content_type: str, framing: str, length: int, *, close: bool = False) -> bytes:
    """Status line and headers; `length` is told only by the framing "content-length"."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Planted')}", f"Content-Type: {content_type}"]
    if framing == "content-length":
        lines.append(f"Content-Length: {length}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
    lines.append("Connection: close" if close or framing == "close" else "Connection: keep-alive")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def framed(framing: str, data: bytes) -> bytes:
    """One piece of a body as it goes over the wire."""
    return b"%x\r\n%s\r\n" % (len(data), data) if framing == "chunked" else data


def last(framing: str) -> bytes:
    """What ends a body."""
    return b"0\r\n\r\n" if framing == "chunked" else b""


def as_json(value: object) -> bytes:
    """A JSON body in UTF-8."""
    return json.dumps(value, ensure_ascii=False).encode()


def error_body(message: str, status: int) -> bytes:
    """An error as OpenAI's API words it."""
    return as_json({"error": {"message": message, "type": "planted", "code": status}})

"""Just enough HTTP/1.1 for a server that answers badly on purpose: requests from bytes, answers to bytes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus

FRAMINGS = ("chunked", "content-length", "close")
MOST_HEAD_BYTES = 64 * 1024
MOST_BODY_BYTES = 64 * 1024 * 1024

_FIRST_LINE = re.compile(r"([A-Za-z]+) ([!-~]+) HTTP/1\.([01])")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DIGITS = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class BadRequest(Exception):
    """What came is no request that can be read; nothing behind it on this connection can be."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """A request read in full; header names in lower case, the path without its query."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    received_ns: int
    version: int = 1

    @property
    def stays(self) -> bool:
        """The client wants the connection kept open."""
        connection = self.headers.get("connection", "").lower()
        return connection != "close" and (self.version == 1 or connection == "keep-alive")


@dataclass(frozen=True)
class _Head:
    method: str
    path: str
    version: int
    headers: dict[str, str]


class RequestReader:
    """Reads the requests of one connection from bytes, however they are cut.

    Args:
        most_body_bytes: longest body that is read; of a longer one nothing.
    """

    def __init__(self, most_body_bytes: int = MOST_BODY_BYTES) -> None:
        self._most = most_body_bytes
        self._bytes = bytearray()
        self._head: _Head | None = None
        self._length: int | None = None
        self._chunks = bytearray()
        self._told_to_go_on = False

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._bytes += data

    @property
    def pending_bytes(self) -> int:
        """What has come and belongs to no request yet."""
        return len(self._bytes)

    @property
    def begun(self) -> bool:
        """A request has begun to come, and is not whole yet."""
        return bool(self._bytes) or self._head is not None

    def wants_continue(self) -> bool:
        """True once for each client that waits for "100 Continue" before it sends its body."""
        head = self._head
        if self._told_to_go_on or head is None or head.headers.get("expect", "").lower() != "100-continue":
            return False
        self._told_to_go_on = True
        return True

    def next(self, now_ns: int) -> Request | None:
        """Return the next whole request, or None when more bytes are needed.

        Raises:
            BadRequest: it can never become one; the connection is to be closed.
        """
        if self._head is None and not self._read_head():
            return None
        head = self._head
        assert head is not None
        body = self._chunked() if self._length is None else self._counted(self._length)
        if body is None:
            return None
        self._head, self._told_to_go_on = None, False
        return Request(head.method, head.path, head.headers, body, now_ns, head.version)

    def _read_head(self) -> bool:
        while self._bytes.startswith(b"\r\n"):  # RFC 9112 2.2: empty lines before a request are skipped
            del self._bytes[:2]
        end = self._bytes.find(b"\r\n\r\n", 0, MOST_HEAD_BYTES)
        if end < 0:
            if len(self._bytes) >= MOST_HEAD_BYTES:
                raise BadRequest(431, f"the headers are longer than {MOST_HEAD_BYTES} bytes")
            return False
        head = parse_head(bytes(self._bytes[:end]).decode("latin-1"))
        self._length = body_length(head.method, head.headers)
        if self._length is not None and self._length > self._most:
            raise BadRequest(413, f"the body of {self._length} bytes is over the limit of {self._most}")
        self._head, self._chunks = head, bytearray()
        del self._bytes[: end + 4]
        return True

    def _counted(self, length: int) -> bytes | None:
        if len(self._bytes) < length:
            return None
        body = bytes(self._bytes[:length])
        del self._bytes[:length]
        return body

    def _chunked(self) -> bytes | None:
        while (end := self._bytes.find(b"\r\n")) >= 0:
            size = _CHUNK_SIZE.fullmatch(self._bytes[:end])
            if size is None:
                raise BadRequest(400, "the size of a chunk is not a hexadecimal number")
            count = int(size[1], 16)
            if len(self._chunks) + count > self._most:
                raise BadRequest(413, f"the body is over the limit of {self._most} bytes")
            if not count:
                return self._trailers(end)
            if len(self._bytes) < end + 2 + count + 2:
                return None
            if self._bytes[end + 2 + count : end + 4 + count] != b"\r\n":
                raise BadRequest(400, "a chunk is longer than its size")
            self._chunks += self._bytes[end + 2 : end + 2 + count]
            del self._bytes[: end + 4 + count]
        if len(self._bytes) > MOST_HEAD_BYTES:
            raise BadRequest(400, "the size of a chunk is not a hexadecimal number")
        return None

    def _trailers(self, start: int) -> bytes | None:
        """The body, once the trailers behind its last chunk are over; what they say is not wanted."""
        end = self._bytes.find(b"\r\n\r\n", start)
        if end < 0:
            if len(self._bytes) > MOST_HEAD_BYTES:
                raise BadRequest(431, f"the trailers are longer than {MOST_HEAD_BYTES} bytes")
            return None
        del self._bytes[: end + 4]
        return bytes(self._chunks)


def parse_head(text: str) -> _Head:
    """Read the lines before a body.

    Raises:
        BadRequest: they are not those of a request.
    """
    first, *lines = text.split("\r\n")
    matched = _FIRST_LINE.fullmatch(first)
    if matched is None:
        raise BadRequest(400, "the first line is not 'METHOD PATH HTTP/1.1'")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        if not colon or not _HEADER_NAME.fullmatch(name) or any(mark in value for mark in "\r\n\0"):
            raise BadRequest(400, "a header is not 'Name: value'")
        name = name.lower()
        if name in {"content-length", "transfer-encoding"} and headers.get(name, value) != value:
            raise BadRequest(400, f"two different {name} headers")
        headers[name] = value
    return _Head(matched[1], matched[2].partition("?")[0], int(matched[3]), headers)


def body_length(method: str, headers: dict[str, str]) -> int | None:
    """Bytes of the body, None for a chunked one.

    Raises:
        BadRequest: the headers do not tell where the body ends.
    """
    length, encoding = headers.get("content-length"), headers.get("transfer-encoding")
    if encoding is not None:
        if length is not None:  # RFC 9112 6.3: the way to smuggle a request past a proxy
            raise BadRequest(400, "both Content-Length and Transfer-Encoding")
        if encoding.lower() != "chunked":
            raise BadRequest(501, "the only Transfer-Encoding is chunked")
        return None
    if length is None:
        if method == "POST":
            raise BadRequest(411, "Content-Length is missing")
        return 0
    if not _DIGITS.fullmatch(length):
        raise BadRequest(400, "Content-Length is not a number of bytes")
    return int(length)


def head(
    status: int, content_type: str, framing: str, length: int, *, close: bool = False, more: str = ""
) -> bytes:
    """Status line and headers; `length` is told only by the framing "content-length".

    `more` are further headers, each ended by CRLF.
    """
    lines = [f"HTTP/1.1 {status} {reason(status)}", f"Content-Type: {content_type}"]
    if framing == "content-length":
        lines.append(f"Content-Length: {length}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
    lines.append("Connection: close" if close or framing == "close" else "Connection: keep-alive")
    return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode("latin-1")


def reason(status: int) -> str:
    """The words behind a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Planted"


def framed(framing: str, data: bytes) -> bytes:
    """One piece of a body as it goes over the wire."""
    return b"%x\r\n%s\r\n" % (len(data), data) if framing == "chunked" else data


def last(framing: str) -> bytes:
    """What ends a body."""
    return b"0\r\n\r\n" if framing == "chunked" else b""


def as_json(value: object) -> bytes:
    """A JSON body in UTF-8; halves of surrogate pairs stay the escapes as which they came."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def error_body(message: str, status: int, kind: str = "planted") -> bytes:
    """An error as OpenAI's API words it."""
    return as_json({"error": {"message": message, "type": kind, "code": status}})

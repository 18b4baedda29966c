"""HTTP/1.1 as bytes and states: no socket, no clock."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import httptools

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import CLOSED_EARLY, COMPLETE, NOT_HTTP, Ending, HttpRequest
from pytest_llmserve.domain.target import Target

_USER_AGENT = "pytest-llmserve"
_LONGEST_HEAD = 65_536


def request_bytes(target: Target, request: HttpRequest) -> bytes:
    """The request as it goes over the wire. The target's headers win over the dialect's.

    Raises:
        SetupError: a header or the path cannot be sent as HTTP.
    """
    head = _head(target, request.method, request.sent_path, request.headers)
    return b"%b%d\r\n\r\n%b" % (head, len(request.body), request.body)


@lru_cache(maxsize=64)
def _head(target: Target, method: str, path: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    merged = {"Host": target.authority, "User-Agent": _USER_AGENT, "Connection": "keep-alive"}
    names = {name.lower(): name for name in merged}
    for name, value in (*headers, *target.headers):
        merged[names.setdefault(name.lower(), name)] = value
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in merged.items())]
    try:
        return ("\r\n".join(lines) + "\r\nContent-Length: ").encode("latin-1")
    except UnicodeEncodeError as error:  # the text may be a key: say where, never what
        names_hit = [name for name, value in merged.items() if not _is_latin1(name + value)]
        where = f"header {names_hit[0]!a}"
        raise SetupError(f"{where} holds a character that HTTP cannot carry ({error.reason})") from None


def _is_latin1(text: str) -> bool:
    return all(ord(character) < 256 for character in text)


class Answer:
    """One answer on its way in: fed with stamped bytes, cut anywhere.

    Keeps every piece of the body beside its stamp; nothing is decoded here.

    Attributes:
        status: HTTP status, or None before the header is complete.
        headers: (lower-case name, value) pairs.
        stamps, pieces: the body, as it came.
        complete: the message has ended by its own framing.
        merged: pieces that came with the one before them in one read.
        over: nothing more is wanted: complete, or broken.
        keep_alive: the server promises to keep the connection.
        broken: why this is not HTTP, or None.
    """

    __slots__ = (
        "_feed",
        "_framed",
        "_head_bytes",
        "_parser",
        "_stamp_ns",
        "broken",
        "complete",
        "first_byte_ns",
        "headers",
        "keep_alive",
        "merged",
        "over",
        "pieces",
        "stamps",
        "status",
    )

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self._feed: Any = self._parser.feed_data
        self.status: int | None = None
        self.headers: list[tuple[str, str]] = []
        self.stamps: list[int] = []
        self.pieces: list[bytes] = []
        self.first_byte_ns: int | None = None
        self.complete = self.over = False
        self.merged = 0
        self.keep_alive = False
        self.broken: str | None = None
        self._framed = False
        self._head_bytes = 0
        self._stamp_ns = 0

    def feed(self, stamp_ns: int, data: bytes) -> None:
        """Take bytes that arrived at `stamp_ns`."""
        if self.first_byte_ns is None:
            self.first_byte_ns = stamp_ns
        self._stamp_ns = stamp_ns
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade:
            self._break("the server switched protocols (101)")
        except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
            if self.complete:  # bytes behind a whole answer: it stands, the connection does not
                self.keep_alive = False
            else:
                self._break(f"not HTTP: {error} at {data[:40]!r}")
        if self.status is None and not self.over:  # the parser itself would take headers without end
            self._head_bytes += len(data)
            if self._head_bytes > _LONGEST_HEAD:
                self._break(f"the header of the answer is longer than {_LONGEST_HEAD // 1024} KiB")

    def ending(self) -> Ending | None:
        """How the answer has ended so far, or None when more is to come."""
        if self.broken is not None:
            return Ending(NOT_HTTP, self.broken)
        return Ending(COMPLETE) if self.complete else None

    def closed(self) -> Ending:
        """How the answer ended now that the server has closed the connection."""
        ending = self.ending()
        if ending is not None:
            return ending
        if self.status is not None and not self._framed:
            return Ending(COMPLETE)  # a body without length or chunks ends with the connection
        return Ending(CLOSED_EARLY, "the server closed the connection")

    def _break(self, why: str) -> None:
        self.broken, self.over = why, True

    def release(self) -> None:
        """Break the circle between parser and answer: the collector is off while measuring."""
        self._parser = self._feed = None

    def on_message_begin(self) -> None:
        """Parser callback. Raises ValueError on an answer nobody asked for: the one before it stands."""
        if self.complete:
            raise ValueError("bytes behind the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser callback."""
        key = name.decode("latin-1").lower()
        if key in {"content-length", "transfer-encoding"}:
            self._framed = True
        self.headers.append((key, value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Parser callback."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Parser callback."""
        stamps, stamp_ns = self.stamps, self._stamp_ns
        if stamps and stamps[-1] == stamp_ns:
            self.merged += 1
        stamps.append(stamp_ns)
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        """Parser callback."""
        if self.status is not None and self.status < 200:  # 100 Continue, 103 Early Hints
            self.status, self.headers, self._framed = None, [], False
        else:
            self.complete = self.over = True
            self.keep_alive = bool(self._parser.should_keep_alive())

"""One request on the wire and its answer: what is sent, who takes what comes, and how it ended."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import re
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import structs

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import CLOSED_EARLY, COMPLETE, Ending, HttpRequest
from pytest_llmserve.domain.target import Target
from pytest_llmserve.serve.reply import Stamps

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DEFAULT_HEADERS = (("Accept-Encoding", "identity"), ("User-Agent", "pytest-llmserve"))


MB = 1_000_000
ORDER_BYTES = MB
"""The first answer of two is an identifier: one that is longer is the real answer itself."""


class TooLong(Exception):
    """A sink takes no more of an answer, which is then read no further; the text says why."""


class Sink(Protocol):
    """Takes an answer as it comes. Called on the wire's thread."""

    def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Take status and headers (names in lower case)."""

    def feed(self, stamp_ns: int, data: bytes) -> None:
        """Take a piece of the body. May raise TooLong."""


NextRequest = Callable[[int, bytes], HttpRequest | None]
"""Status and body of an answer -> the request that fetches the real one; None = it is the answer itself."""


class Exchange:
    """One request on the wire.

    Attributes:
        next_request: of an API with two exchanges an answer; the sink hears of the last one alone.
        fresh: over a connection of its own, so that it is never sent again.
        stamps: what has happened so far.
        ending: how the transport ended; "closed_early" until it has.
        done: set when nothing more will come; holds an exception only for faults that are not
            the server's.
    """

    def __init__(self, request: HttpRequest, sink: Sink, limit_s: float) -> None:
        self.request = request
        self.sink = sink
        self.limit_s = limit_s
        self.next_request: NextRequest | None = None
        self.own_headers_win = False
        self.fresh = False
        self.stamps = Stamps(time.monotonic_ns())
        self.status: int | None = None
        self.ending = Ending(CLOSED_EARLY, "the client closed the connection")
        self.done: concurrent.futures.Future[None] = concurrent.futures.Future()
        # A running future cannot be cancelled: an async caller that is must not end it by half.
        self.done.set_running_or_notify_cancel()
        self.task: asyncio.Task[None] | None = None

    def next_step(self) -> None:
        """The exchange so far was the first of two: the second is another one, of the same request."""
        self.stamps.next_step(self.status or 0)
        self.status = None

    @property
    def complete(self) -> bool:
        """True when the answer came to its end."""
        return self.ending.how == COMPLETE


class Kept:
    """A sink that keeps a whole answer, for another one, which has it at once where it is no order.

    Attributes:
        handed: the other sink has it, as it is too long to be an order.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._bytes = 0
        self.handed = False
        self._begun: tuple[int, Sequence[tuple[str, str]]] | None = None
        self._pieces: list[tuple[int, bytes]] = []

    def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Take status and headers."""
        self._begun = status, headers

    def feed(self, stamp_ns: int, data: bytes) -> None:
        """Take a piece of the body."""
        if self.handed:
            self._sink.feed(stamp_ns, data)
            return
        self._pieces.append((stamp_ns, data))
        self._bytes += len(data)
        if self._bytes > ORDER_BYTES:
            self.hand_over()

    @property
    def body(self) -> bytes:
        """All of it, where it was not handed over."""
        return b"".join(data for _, data in self._pieces)

    def hand_over(self) -> None:
        """Give the other sink what came, and whatever still comes."""
        if self.handed:
            return
        self.handed = True
        if self._begun is not None:
            self._sink.begin(*self._begun)
        for stamp_ns, data in self._pieces:
            self._sink.feed(stamp_ns, data)
        self._pieces = []


def merged_headers(
    target: Target, request: HttpRequest, *, own_headers_win: bool = False
) -> list[tuple[str, str]]:
    """The request's headers: ours, the request's, the target's; of one name the last wins.

    With `own_headers_win` the request's come last.

    Raises:
        SetupError: a header cannot be sent; its value is not shown, it may be a secret.
    """
    merged: dict[str, tuple[str, str]] = {}
    layers = (target.headers, request.headers) if own_headers_win else (request.headers, target.headers)
    for name, value in itertools.chain((("Host", target.authority), *_DEFAULT_HEADERS), *layers):
        if not _NAME.match(name):
            raise SetupError(f"header name {name!r} is not allowed in HTTP: write --llm-header 'Name: value'")
        if _BAD_VALUE.search(value):
            raise SetupError(f"the value of header {name!r} holds a line break or another control character")
        merged[name.lower()] = (name, value)
    length = merged.get("content-length", ("", ""))[1]
    if length and length != str(len(request.body)):
        raise SetupError(
            f"header Content-Length is {length!r} but the body has {len(request.body)} bytes:"
            " leave the header out, or send WrongLength(body, content_length=...)"
        )
    return list(merged.values())


def with_headers_of(first: HttpRequest, following: HttpRequest) -> HttpRequest:
    """The second request of two with what the first one's headers say, such as a key; not of its body."""
    carried = [
        (k, v) for k, v in first.headers if not k.lower().startswith("content-") and k.lower() != "accept"
    ]
    return structs.replace(following, headers=(*carried, *following.headers))

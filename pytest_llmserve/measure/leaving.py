"""Clients that ask beside a load and leave in the middle of the answer."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from pytest_llmserve.dialects import dialect
from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.exchange import Decoder, Dialect, HttpRequest, Prompt
from pytest_llmserve.domain.marks import nonce, salt_after
from pytest_llmserve.domain.mix import Aborted
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.task import Manner
from pytest_llmserve.load.prompts import with_mark
from pytest_llmserve.serve.call import Call
from pytest_llmserve.serve.stream import Stream
from pytest_llmserve.serve.wire import Wire

_FIRST_ID = 1 << 30
"""Beyond the ids of any run: marks of the same salt, carried by none of its requests."""
_LEAST_PAUSE_S = 0.02
_MOST_PIECES = 3
_FIRST_EACH = 10
_NEWS_NS = 1_000_000_000
_END_LIMIT_S = 5.0


class Leavers:
    """A few clients in threads, ended with a `with` statement.

    They begin when the load has. Each asks, reads one to three pieces of the answer, closes the connection,
    and pauses for as long as that took, or until the load has sent so many more requests that the next one
    is due: together they ask `share` of what it has sent.

    Args:
        target: a server that streams.
        asked: prompts and the manner of their task, taken in turns.
        params: fields of every request; those of the manner come over them.
        salt: of the load beside which they ask; their marks are none of its.
        clients: at the same time.
        most: requests of all of them together; None = for as long as the load goes on.
        share: of the requests of the load, that they ask; None = as many as they can.
        limit_s: of one request.
    """

    def __init__(
        self,
        target: Target,
        asked: Sequence[tuple[Prompt, Manner]],
        params: dict[str, Any],
        *,
        salt: str,
        clients: int,
        most: int | None,
        limit_s: float,
        share: float | None = None,
    ) -> None:
        self._target, self._asked, self._params = target, asked, params
        self._salt, self._most, self._limit_s = salt_after(salt, _FIRST_ID), most, limit_s
        self._wire = Wire(target)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._pace = Pace(share, clients * _FIRST_EACH)
        self._begun = threading.Event()
        self._numbers = itertools.count()
        self._left: list[Aborted] = []
        self._fault: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, name="llmserve-leaver", daemon=True) for _ in range(clients)
        ]

    @property
    def left(self) -> tuple[Aborted, ...]:
        """All requests so far, in the order of their leaving."""
        return tuple(self._left)

    def hear(self, now: LoadProgress) -> None:
        """Begin when the load has, and nothing more once it is over: after it the server is at rest."""
        self._pace.hear(now, time.monotonic_ns())
        if is_over(now):
            self._stop.set()
        if now.elapsed_ns > 0 or is_over(now):
            self._begun.set()

    def __enter__(self) -> Leavers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Cut what is under way. Raises GeneratorError: a client failed by our own fault."""
        self._stop.set()
        self._begun.set()
        self._wire.close()
        for thread in self._threads:
            thread.join(_END_LIMIT_S)
        self._wire.close()  # one that was just at its next request has opened it anew
        if self._fault is not None and kind is None:
            raise GeneratorError(f"a client that was to leave failed: {self._fault}") from self._fault

    def _work(self) -> None:
        self._begun.wait()
        try:
            while (number := self._take()) is not None and self._is_due(number):
                begun = time.monotonic()
                self._ask_and_leave(number)
                self._stop.wait(max(_LEAST_PAUSE_S, time.monotonic() - begun))
        except Exception as fault:  # told by who waits: a thread has nobody to raise to
            if not self._stop.is_set():  # else it is of being cut
                self._fault = fault

    def _take(self) -> int | None:
        with self._lock:
            number = next(self._numbers)
        return number if self._most is None or number < self._most else None

    def _is_due(self, number: int) -> bool:
        """Wait for its turn; False: the load is over before."""
        while not self._stop.is_set() and number >= self._pace.due(time.monotonic_ns()):
            self._stop.wait(_LEAST_PAUSE_S)
        return not self._stop.is_set()

    def _ask_and_leave(self, number: int) -> None:
        prompt, manner = self._asked[number % len(self._asked)]
        mark = nonce(self._salt, number)
        spoken = _AtPath(dialect(self._target.api), manner.path)
        fields = {**self._params, **manner.params}
        marked = with_mark(prompt, mark)
        sent_ns = time.monotonic_ns()
        try:
            with Stream(
                self._wire,
                lambda told: Call(spoken, self._target, marked, fields, self._limit_s, told),
                number,
            ) as stream:
                for place, _ in enumerate(stream, 1):
                    if place > number % _MOST_PIECES:
                        break
        finally:
            self._left.append(Aborted(mark=mark, sent_ns=sent_ns, left_ns=time.monotonic_ns()))


def is_over(now: LoadProgress) -> bool:
    """The load has come to its planned end."""
    if now.total_ns is not None and now.elapsed_ns >= now.total_ns:
        return True
    return now.total_requests is not None and now.active == 0 and now.ended >= now.total_requests


class Pace:
    """How many requests of leaving clients are due; the load's own beyond its last news are reckoned.

    News come twice a second, so that of a load of less there is none.

    Args:
        share: of what the load has sent; None = all are due.
        first: due before the load has told what it has sent.
    """

    def __init__(self, share: float | None, first: int) -> None:
        self._share, self._first = share, first
        self._sent, self._elapsed_ns, self._heard_ns = 0, 0, 0

    def hear(self, now: LoadProgress, at_ns: int) -> None:
        """Take what a load tells at an instant; the same news twice count once."""
        if now.sent > self._sent:
            self._sent, self._elapsed_ns, self._heard_ns = now.sent, now.elapsed_ns, at_ns

    def due(self, at_ns: int) -> float:
        """How many, from the beginning on."""
        if self._share is None:
            return math.inf
        if not self._sent or not self._elapsed_ns:
            return self._first
        since_ns = min(at_ns - self._heard_ns, _NEWS_NS)
        return max(1.0, self._share * self._sent * (1 + since_ns / self._elapsed_ns))


class _AtPath:
    """A dialect whose requests go to a path of their own."""

    def __init__(self, spoken: Dialect, path: str | None) -> None:
        self.name, self._spoken, self._path = spoken.name, spoken, path
        self.limit_names, self.asks_usage = spoken.limit_names, spoken.asks_usage
        self.two_steps = spoken.two_steps

    def encode(self, target: Target, prompt: Prompt, params: Any) -> HttpRequest:
        """As the dialect does, but for the path."""
        request = self._spoken.encode(target, prompt, params)
        return request if self._path is None else msgspec.structs.replace(request, path=self._path)

    def decoder(self, target: Target, status: int, headers: Sequence[tuple[str, str]]) -> Decoder:
        """The dialect's."""
        return self._spoken.decoder(target, status, headers)

    def next_request(self, target: Target, path: str, status: int, body: bytes) -> HttpRequest | None:
        """The dialect's."""
        return self._spoken.next_request(target, path, status, body)

"""The server under test, as a test asks it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.encoding import asked, limited
from pytest_llmserve.dialects.fields import seeded
from pytest_llmserve.domain.capabilities import Capabilities
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import HttpRequest, Prompt
from pytest_llmserve.domain.outcome import Outcome
from pytest_llmserve.domain.printable import printable
from pytest_llmserve.domain.survival import Answered
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.units import NS_PER_S, duration_ns
from pytest_llmserve.domain.wrong_length import WrongLength
from pytest_llmserve.serve.call import (
    PROBE_BYTES,
    Body,
    Call,
    answered_of,
    demanded_headers,
    following,
    raw_outcome,
    raw_request,
)
from pytest_llmserve.serve.exchange import Exchange
from pytest_llmserve.serve.heard import Heard
from pytest_llmserve.serve.redact import is_secret, redact
from pytest_llmserve.serve.reply import Reply
from pytest_llmserve.serve.said import Said
from pytest_llmserve.serve.story import Story
from pytest_llmserve.serve.stream import AsyncStream, MakeCall, Stream
from pytest_llmserve.serve.wire import Wire

_KEPT_KEYS = 20
_SIGNS_OF_LIFE = ("/health", "/v1/models", "/")


class Probed:
    """What was found out of a server's capabilities, once; shared by all who ask it."""

    def __init__(self) -> None:
        self.found: Capabilities | None = None
        self._lock = threading.Lock()

    def get(self, endpoint: Endpoint) -> Capabilities:
        """Find it out when asked for the first time."""
        with self._lock:
            if self.found is None:
                from pytest_llmserve.serve.capable import probe_capabilities

                self.found = probe_capabilities(endpoint)
            return self.found


class Endpoint:
    """The server under test.

    Faults of the server are told in what comes back, never raised.

    Args:
        target: where the server is and how it speaks; its `api` is decided.
        because: why this API was chosen, in words for people, without secrets.
        wire: HTTP client to take over; a new one by default.

    Raises:
        SetupError: no such API.
    """

    def __init__(self, target: Target, because: str = "", *, wire: Wire | None = None) -> None:
        self.target = target
        self.because = because
        self.story: Story | None = None
        self._dialect = dialect(target.api)
        self._wire = wire or Wire(target)
        self._ids = itertools.count(1)
        self._keys: dict[tuple[str, str], None] = {}
        self.said = Said()
        self._probed = Probed()

    @property
    def url(self) -> str:
        """The URL as the user gave it."""
        return self.target.url

    @property
    def api(self) -> str:
        """Name of the dialect."""
        return self.target.api

    @property
    def model(self) -> str | None:
        """Name of the model that is asked for, or None when the server was named none."""
        return self.target.model

    @property
    def heard(self) -> Heard:
        """What was heard of the server through questions that were asked here."""
        return self._wire.heard

    @property
    def limit_name(self) -> str | None:
        """The field that limits the length of an answer, as the server was seen to take it; None = none."""
        return self.target.limit_name

    def limited(self, tokens: int) -> dict[str, Any]:
        """Parameters that limit an answer to so many tokens on this server.

        Example: `llm_endpoint.generate("Hi", **llm_endpoint.limited(16))`. Empty where `limit_name` is None.
        """
        return limited(self.target.limit_name, tokens)

    def seeded(self, seed: int) -> dict[str, Any]:
        """Parameters by which this server draws its answer with that seed; empty where no field is known.

        Whether it keeps to the seed is told by `capabilities.seed`. They may stand in the same object as
        those of `limited`, so give a limit beside them as max_tokens:
        `llm_endpoint.generate("Hi", max_tokens=16, **llm_endpoint.seeded(7))`.
        """
        return seeded(self.target.api, seed)

    @property
    def capabilities(self) -> Capabilities:
        """What the server was seen to do; asked when first looked at, with about a dozen short questions."""
        return self._probed.get(self)

    @property
    def capabilities_seen(self) -> Capabilities | None:
        """The same if it has been asked for, else None."""
        return self._probed.found

    def generate(self, prompt: Prompt, *, timeout: float | str = 120, **params: Any) -> Reply:
        """Ask one question and wait for the whole answer.

        Args:
            prompt: a text, or chat messages.
            timeout: limit from the call to the last byte, in seconds or as "90s".
            params: go into the request's body as they are, such as temperature=0; max_tokens=16 as the
                field that this server takes for it, see `limited`.

        Raises:
            SetupError: the request cannot be built.
        """
        call = self._call(prompt, timeout, params)
        self._wire.perform(call.exchange)
        return call.reply(next(self._ids))

    async def agenerate(self, prompt: Prompt, *, timeout: float | str = 120, **params: Any) -> Reply:
        """Do as `generate`, from async code."""
        call = self._call(prompt, timeout, params)
        await self._wire.aperform(call.exchange)
        return call.reply(next(self._ids))

    def stream(self, prompt: Prompt, *, timeout: float | str = 120, **params: Any) -> Stream:
        """Ask one question and return its answer as an iterator over text pieces.

        A server that does not stream gives one piece. Arguments as for `generate`.
        """
        return Stream(self._wire, self._call_maker(prompt, timeout, params), next(self._ids))

    def astream(self, prompt: Prompt, *, timeout: float | str = 120, **params: Any) -> AsyncStream:
        """Do as `stream`, from async code: ``async for piece in endpoint.astream(...)``."""
        return AsyncStream(self._wire, self._call_maker(prompt, timeout, params), next(self._ids))

    def send(
        self,
        body: Any,
        *,
        path: str | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | str = 30,
        method: str = "POST",
    ) -> Outcome:
        """Send a raw body.

        Args:
            body: bytes and str are sent as they are, anything else as JSON; a `WrongLength` with the
                Content-Length that it has, over a connection of its own.
            path: by default that of the API.
            headers: win over the target's; Content-Type is application/json by default.
            timeout: limit from the call to the last byte, in seconds or as "90s".
            method: of HTTP.

        Returns:
            "ok" for a 2xx answer that came whole, whatever it says; `.status`, `.error` and
            `.body` beside it.
        """
        request, sink = self.request(body, path=path, headers=headers, method=method), Body()
        exchange = self._exchanged(request, sink, limit_s(timeout))
        return raw_outcome(self._dialect, self.target, exchange, sink)

    def request(
        self,
        body: Any,
        *,
        path: str | None = None,
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> HttpRequest:
        """The request that `send` sends. Arguments as for `send`."""
        if path is None:
            asked = self.encoded("", {})
            path, headers = asked.path, {**demanded_headers(asked, self.target), **(headers or {})}
        return raw_request(path, body, headers, method)

    def encoded(self, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """The request that `generate` sends.

        Raises:
            SetupError: the request cannot be built.
        """
        return asked(self._dialect, self.target, prompt, params)

    def answered(self, request: HttpRequest, timeout: float | str = 30, *, asked: bool = False) -> Answered:
        """Send a request as it is, once, and tell all of its answer; its headers win over the target's.

        Args:
            request: sent as it is.
            timeout: limit from the call to the last byte, in seconds or as "90s".
            asked: it is a question of this API, so that a 2xx has to be an answer.

        Raises:
            SetupError: the request cannot be sent as HTTP.
        """
        sink = Body()
        exchange = self._exchanged(request, sink, limit_s(timeout), fresh=True)
        spoken = request.path == self.encoded("", {}).path
        return answered_of(self._dialect, self.target, exchange, sink, spoken, asked)

    def _exchanged(self, request: HttpRequest, sink: Body, limit_s: float, fresh: bool = False) -> Exchange:
        exchange = Exchange(request, sink, limit_s)
        exchange.own_headers_win, exchange.fresh = True, fresh
        if request.method == "POST":
            exchange.next_request = following(self._dialect, self.target, request)
        self._remember(request)
        if isinstance(request.body, WrongLength):
            from pytest_llmserve.serve import lying

            lying.perform(self.target, exchange, request.body)
        else:
            self._wire.perform(exchange)
        return exchange

    def _remember(self, request: HttpRequest) -> None:
        """Its texts and secrets: a server may repeat them later, in its log as well."""
        self.said.request(bytes(request.body))
        for name, value in request.headers:
            if is_secret(name, self.target):
                self._keys.pop((name, value), None)
                self._keys[name, value] = None
        while len(self._keys) > _KEPT_KEYS:
            del self._keys[next(iter(self._keys))]

    def is_alive(self, timeout: float | str = 5) -> bool:
        """True when the server answers a plain GET in time with a status below 500.

        Nothing that a server does makes it raise.
        """
        deadline = time.monotonic() + limit_s(timeout)
        for path in _SIGNS_OF_LIFE:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            exchange = Exchange(HttpRequest(method="GET", path=path), Body(PROBE_BYTES), left_s)
            self._wire.perform(exchange)
            if exchange.status is None:
                return False
            if exchange.status < 500:
                return True
        return False

    def close(self) -> None:
        """Close the connections. The next question opens new ones."""
        self._wire.close()

    def redact(self, text: str) -> str:
        """The text without the secrets that this endpoint sends, or has sent of late with `headers=`."""
        return redact(text, self.target, tuple(self._keys))

    def cleaned(self, text: str) -> str:
        """The same of a text of the server's log, without what was said to it where texts are not kept."""
        return self.redact(self.without_said([text])[0])

    def without_said(self, texts: Sequence[str]) -> list[str]:
        """The texts without what was said to the server, where texts are not kept."""
        return list(texts) if self.target.keep_text else self.said.without(texts)

    def told(self, text: str) -> str:
        """The same as `redact` with U+FFFD for what cannot be printed, for a line that a terminal shows."""
        return printable(self.redact(text))

    def _call(
        self,
        prompt: Prompt,
        timeout: float | str,
        params: dict[str, Any],
        on_text: Callable[[str], None] | None = None,
    ) -> Call:
        call = Call(self._dialect, self.target, prompt, params, limit_s(timeout), on_text)
        self.said.request(call.exchange.request.body)
        return call

    def _call_maker(self, prompt: Prompt, timeout: float | str, params: dict[str, Any]) -> MakeCall:
        most_s = limit_s(timeout)
        return lambda on_text: self._call(prompt, most_s, params, on_text)

    def __repr__(self) -> str:
        return f"Endpoint({self.url}, api={self.api}, model={self.model})"


def limit_s(timeout: float | str, name: str = "timeout") -> float:
    """A time limit in s, of 5 or "5s".

    Raises:
        SetupError: it is none, in words that begin with its name.
    """
    try:
        limit_ns = duration_ns(timeout)
    except ValueError as error:
        raise SetupError(f"{name}: {error}") from None
    if limit_ns == 0:
        raise SetupError(f"{name}: 0 leaves no time to answer")
    return limit_ns / NS_PER_S

"""One request in a dialect: encoded, sent, decoded. Sync and async faces share it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import structs

from pytest_llmserve.dialects.asked_texts import hidden, hidden_reason
from pytest_llmserve.dialects.decoding import every
from pytest_llmserve.dialects.encoding import asked
from pytest_llmserve.dialects.piece import Unreadable
from pytest_llmserve.dialects.unpack import unpacker
from pytest_llmserve.domain.exchange import Decoded, Decoder, Dialect, HttpRequest, Prompt
from pytest_llmserve.domain.outcome import CUT_OFF, HTTP_4XX, HTTP_5XX, OK, SERVER_ERROR_IN_STREAM, Outcome
from pytest_llmserve.domain.survival import Answered
from pytest_llmserve.domain.target import Target
from pytest_llmserve.serve.exchange import MB, Exchange, NextRequest, TooLong
from pytest_llmserve.serve.faults import no_answer
from pytest_llmserve.serve.redact import redact
from pytest_llmserve.serve.reply import Reply, make_record

PROBE_BYTES = 8 * MB
"""The longest answer that is read of a question that finds out what a server is."""


class Call:
    """A prompt on its way, and the answer as far as it has come. Is the exchange's sink.

    Args:
        on_text: gets each piece of text when it comes, on the wire's thread.
    """

    def __init__(
        self,
        dialect: Dialect,
        target: Target,
        prompt: Prompt,
        params: Mapping[str, Any],
        limit_s: float,
        on_text: Callable[[str], None] | None = None,
    ) -> None:
        self._dialect = dialect
        self._target = target
        self._prompt = prompt
        self._on_text = on_text
        self._given: list[str] = []
        self._decoder: Decoder | None = None
        self._finished: Decoded | None = None
        self.exchange = Exchange(asked(dialect, target, prompt, params), self, limit_s)
        self.exchange.next_request = following(dialect, target, self.exchange.request)

    def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Take status and headers."""
        self._decoder = self._dialect.decoder(self._target, status, headers)

    def feed(self, stamp_ns: int, data: bytes) -> None:
        """Take a piece of the body."""
        assert self._decoder is not None, "body before headers"
        text = self._decoder.feed(stamp_ns, data)
        if text and self._on_text is not None:
            self._given.append(text)
            self._on_text(text)

    def reply(self, request_id: int) -> Reply:
        """The answer, once the exchange is over."""
        exchange = self.exchange
        if self._finished is None:
            decoder = self._decoder
            self._finished = decoder.finish(exchange.ending) if decoder else no_answer(exchange.ending)
        decoded = self._finished
        error = _told(decoded, self._target, exchange.request)
        decoded = structs.replace(decoded, finish_reason=self._finish_reason(decoded))
        record = make_record(request_id, self._prompt, exchange.stamps, exchange.status, decoded, error)
        return Reply(record, decoded.text, redact(decoded.text, self._target))

    def _finish_reason(self, decoded: Decoded) -> str | None:
        request = self.exchange.request
        reason = hidden_reason(decoded.finish_reason, self._target, request.body, decoded.text)
        return None if reason is None else redact(reason, self._target, request.headers)

    def rest(self) -> str:
        """Text that `on_text` did not get: all of an answer in one piece. Ask for the reply before."""
        text, given = self._finished.text if self._finished else "", "".join(self._given)
        return text[len(given) :] if text.startswith(given) else ""  # an app may have written it anew


def following(dialect: Dialect, target: Target, request: HttpRequest) -> NextRequest | None:
    """What fetches the answer to this request of the API, where one has to be fetched."""
    return partial(dialect.next_request, target, request.path) if dialect.two_steps else None


class Body:
    """A sink that keeps the raw answer.

    Args:
        most_bytes: a longer one is read no further.
    """

    def __init__(self, most_bytes: int | None = None) -> None:
        self.headers: tuple[tuple[str, str], ...] = ()
        self.pieces: list[bytes] = []
        self._most_bytes = most_bytes
        self._bytes = 0

    def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:  # noqa: ARG002 - the exchange has it
        """Take the headers."""
        self.headers = tuple(headers)

    def feed(self, stamp_ns: int, data: bytes) -> None:  # noqa: ARG002 - raw bodies need no stamps
        """Take a piece of the body. Raises TooLong."""
        self.pieces.append(data)
        self._bytes += len(data)
        if self._most_bytes is not None and self._bytes > self._most_bytes:
            raise TooLong(f"longer than {self._most_bytes // MB} MB: read no further")

    @property
    def content_type(self) -> str:
        """The header, or an empty text."""
        return dict(self.headers).get("content-type", "")

    @property
    def raw(self) -> bytes:
        """The body so far."""
        return b"".join(self.pieces)


def _told(decoded: Decoded, target: Target, request: HttpRequest) -> str | None:
    """Its error without secrets, and without what was said where texts are not kept."""
    if decoded.error is None:
        return None
    error = hidden(decoded.error, target, request.body, decoded.text)
    return redact(error, target, request.headers)


def raw_outcome(dialect: Dialect, target: Target, exchange: Exchange, body: Body) -> Outcome:
    """How a raw request ended: by status and transport; what a 2xx says is the test's to judge.

    Only an error that the server reports inside a 200 answer counts as one.
    """
    status, ending = exchange.status, exchange.ending
    if status is None:
        decoded = no_answer(ending)
    else:
        decoder = dialect.decoder(target, status, body.headers)
        decoder.feed(exchange.stamps.end_ns or 0, body.raw)
        decoded = decoder.finish(ending)
        judged = {HTTP_4XX, HTTP_5XX, SERVER_ERROR_IN_STREAM}
        if 200 <= status < 300 and exchange.complete and decoded.outcome not in judged:
            return Outcome(OK, status=status, body=body.raw)
    error = _told(decoded, target, exchange.request)
    return Outcome(decoded.outcome, status=status, error=error, body=body.raw)


def answered_of(
    dialect: Dialect,
    target: Target,
    exchange: Exchange,
    body: Body,
    spoken: bool = True,
    asked: bool = False,
) -> Answered:
    """All of a raw answer, with its body unpacked, or as it came where that cannot be.

    Of a 2xx that came whole only an error in it counts, or the want of its end mark.

    Args:
        dialect: of the API.
        target: whose secrets are hidden.
        exchange: that is over.
        body: what came.
        spoken: it is an answer of this API, whose end mark is known.
        asked: the request was a question of this API, so that a 2xx has to be an answer.
    """
    status, raw = exchange.status, body.raw
    if status is None:
        decoded = no_answer(exchange.ending)
    else:
        decoder = dialect.decoder(target, status, body.headers)
        decoder.feed(exchange.stamps.end_ns or 0, raw)
        decoded = decoder.finish(exchange.ending)
    judged = {HTTP_4XX, HTTP_5XX, SERVER_ERROR_IN_STREAM, *([CUT_OFF] if spoken else [])}
    good = status is not None and 200 <= status < 300 and exchange.complete and decoded.outcome not in judged
    answers = not asked or decoded.outcome == OK or decoded.says_nothing
    error = _told(decoded, target, exchange.request)
    with contextlib.suppress(Unreadable):
        packed = unpacker(every(body.headers, "content-encoding"))
        raw = raw if packed is None else packed.feed(raw)
    return Answered(
        outcome=OK if good else decoded.outcome,
        status=status,
        error=None if good else error,
        no_answer=None if not good or answers else error or decoded.outcome,
        named=f"{exchange.request.path} {target.model or ''}",
        content_type=body.content_type,
        body=raw,
        text=decoded.text,
        tokens=len(decoded.token_ns),
        complete=exchange.complete,
        begun_ns=exchange.stamps.started_ns,
        end_ns=exchange.stamps.end_ns or exchange.stamps.started_ns,
    )


def demanded_headers(asked: HttpRequest, target: Target) -> dict[str, str]:
    """What an API demands of every request, such as its version; the target's own headers go before."""
    left_out = {"content-type", "accept", *(name.lower() for name, _ in target.headers)}
    return {name: value for name, value in asked.headers if name.lower() not in left_out}


def raw_request(path: str, body: Any, headers: Mapping[str, str] | None, method: str = "POST") -> HttpRequest:
    """A request with this body: text and bytes as they are, anything else as JSON."""
    return HttpRequest(
        method=method,
        path=path,
        body=_body_bytes(body),
        headers=(("Content-Type", "application/json"), *(headers or {}).items()),
    )


def _body_bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    import json

    # The standard library's: it writes NaN and lone surrogates, which a hostile body may hold.
    return json.dumps(body).encode("ascii")

"""The answer to one request, as the user's test sees it."""

from __future__ import annotations

import msgspec

from pytest_llmserve.domain.exchange import Decoded, Prompt, prompt_chars
from pytest_llmserve.domain.outcome import Outcome
from pytest_llmserve.domain.record import RequestRecord, Step
from pytest_llmserve.domain.stamps import token_stamps

_SHOWN_CHARS = 200


class OneText(msgspec.Struct, frozen=True):
    """The text of one answer, in memory; stands where a run has its folder of texts."""

    text: str

    def read(self, at: int) -> str:  # noqa: ARG002 - the protocol's
        """Return the text."""
        return self.text


class Reply(msgspec.Struct, frozen=True):
    """One answer. A fault of the server is told in `outcome` and `error`, never raised.

    Attributes:
        record: stamps, counts and outcome, as a load run records them.
        text: the answer, or what came of it.
        clean: the text without secrets, where it is another one; it is what a failed assert shows.
    """

    record: RequestRecord
    text: str
    clean: str | None = None

    @property
    def outcome(self) -> Outcome:
        """One word of `domain.outcome`; compares as the word."""
        return Outcome(self.record.outcome, status=self.record.status, error=self.record.error)

    @property
    def ok(self) -> bool:
        """True when answered in full."""
        return self.record.ok

    @property
    def status(self) -> int | None:
        """HTTP status, or None when no answer came."""
        return self.record.status

    @property
    def error(self) -> str | None:
        """One line for people, or None."""
        return self.record.error

    @property
    def ttft_ms(self) -> float | None:
        """Time to first token, from the moment the request was sent."""
        return self.record.ttft_ms

    @property
    def e2e_ms(self) -> float | None:
        """From the moment the request was sent to the last byte."""
        return self.record.e2e_ms

    @property
    def tpot_ms(self) -> float | None:
        """Time per output token after the first."""
        return self.record.tpot_ms

    @property
    def output_tokens(self) -> int | None:
        """Number of tokens of the answer, see `tokens_from`."""
        return self.record.output_tokens

    @property
    def tokens_from(self) -> str | None:
        """Who counted: "usage" (the server), "estimated" (number of chunks) or None."""
        return self.record.tokens_from

    @property
    def finish_reason(self) -> str | None:
        """Why the server stopped, in its own word."""
        return self.record.finish_reason

    def __repr__(self) -> str:
        parts = [f"{self.record.outcome}"]
        if not self.ok:
            parts += [f"status={self.status}", f"error={self.error!r}"]
        shown = self.text if self.clean is None else self.clean
        shown = shown if len(shown) <= _SHOWN_CHARS else shown[:_SHOWN_CHARS] + "..."
        if self.ok or shown:
            parts.append(f"text={shown!r}")
        if self.output_tokens is not None:
            parts.append(f"output_tokens={self.output_tokens}")
        for name in ("ttft_ms", "e2e_ms"):
            value = getattr(self, name)
            if value is not None:
                parts.append(f"{name}={value:.1f}")
        return f"Reply({', '.join(parts)})"


class Stamps:
    """What happened on the wire so far, monotonic clock; one request long.

    Attributes:
        connected: a new connection was opened for it.
        reopened: the server had closed the connection while idle, so it was sent again.
        steps: exchanges that are over, of an API with two an answer; the others are of the one now.
    """

    __slots__ = (
        "connected",
        "end_ns",
        "first_byte_ns",
        "reopened",
        "sending_ns",
        "sent_ns",
        "started_ns",
        "steps",
    )

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns
        self.sending_ns: int | None = None
        self.sent_ns: int | None = None
        self.first_byte_ns: int | None = None
        self.end_ns: int | None = None
        self.connected = False
        self.reopened = False
        self.steps: tuple[Step, ...] = ()

    def next_step(self, status: int) -> None:
        """The exchange so far is over, another one begins."""
        sent_ns = self.sent_ns or self.sending_ns or self.started_ns
        end_ns = self.end_ns or sent_ns
        step = Step(sent_ns=sent_ns, first_byte_ns=self.first_byte_ns or end_ns, end_ns=end_ns, status=status)
        self.steps = (*self.steps, step)
        self.sending_ns = self.sent_ns = self.first_byte_ns = self.end_ns = None
        self.connected = False


def make_record(
    request_id: int, prompt: Prompt, stamps: Stamps, status: int | None, decoded: Decoded, error: str | None
) -> RequestRecord:
    """The record of a request that is over; `error` is that of `decoded` without secrets."""
    sent_ns = stamps.sent_ns
    if sent_ns is None and stamps.first_byte_ns is not None:
        sent_ns = stamps.sending_ns  # answered before it had read the whole request
    if stamps.steps:
        sent_ns = stamps.steps[0].sent_ns
    return RequestRecord(
        id=request_id,
        scheduled_ns=stamps.started_ns,
        sent_ns=sent_ns,
        first_byte_ns=stamps.first_byte_ns,
        end_ns=stamps.end_ns,
        token_ns=token_stamps(decoded.token_ns),
        status=status,
        outcome=decoded.outcome,
        error=error,
        input_chars=prompt_chars(prompt),
        output_chars=len(decoded.text),
        output_tokens=decoded.output_tokens,
        tokens_from=decoded.tokens_from,
        finish_reason=decoded.finish_reason,
        text_at=0,
        steps=stamps.steps,
        texts=OneText(decoded.text),
    )

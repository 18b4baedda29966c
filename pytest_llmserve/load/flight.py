"""Requests under way, and their records when they are over."""

from __future__ import annotations

import time
from collections import deque

from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.asked_texts import hidden, hidden_reason
from pytest_llmserve.domain.exchange import (
    CLOSED_EARLY,
    COMPLETE,
    CONNECTION_RESET,
    TIME_LIMIT,
    Decoded,
    Ending,
)
from pytest_llmserve.domain.outcome import DROPPED, MALFORMED, REFUSED, RESET, TIMED_OUT
from pytest_llmserve.domain.record import RequestRecord, Step
from pytest_llmserve.domain.replicas import replicas_of
from pytest_llmserve.domain.stamps import token_stamps
from pytest_llmserve.domain.target import Target
from pytest_llmserve.load.http import Answer
from pytest_llmserve.load.pulse import Pulse
from pytest_llmserve.load.served_by import ServedBy
from pytest_llmserve.load.shard import ShardWriter

_TOGETHER, _TOGETHER_NS = 64, 250_000_000

# Headers, stamps and the objects around them, about.
_OBJECTS_BYTES = 3000

NO_CONNECTION = "no_connection"
NEVER_SENT = "never_sent"
"""Endings before anything was sent, beside those of `domain.exchange`: the server's, and ours."""

_UNANSWERED = {
    NO_CONNECTION: REFUSED,
    NEVER_SENT: DROPPED,
    CONNECTION_RESET: RESET,
    CLOSED_EARLY: RESET,
    TIME_LIMIT: TIMED_OUT,
}


class Flight:
    """One request on its way. Mutable: lives from its turn to its end.

    Attributes:
        raw: the request as sent.
        opens: the first of its user in a closed loop: many users cannot begin in one instant, and
            how long they take is part of the load, not a lateness.
        sending_ns: when the exchange now began to be sent; `sent_ns` is when the last byte had left.
        resent: sent again because the server had closed the idle connection.
        steps: exchanges that are over, of an API with two an answer; `raw` and `sent_ns` are of the one now.
        turn: of a conversation, from 1; 0 = no part of one.
        replica: number of the one it is for, see `replicas_of`.
    """

    __slots__ = (
        "_first_raw",
        "attempt",
        "id",
        "input_chars",
        "opens",
        "raw",
        "replica",
        "resent",
        "scheduled_ns",
        "sending_ns",
        "sent_ns",
        "stage",
        "steps",
        "task",
        "turn",
        "warm_up",
    )

    def __init__(
        self,
        request_id: int,
        raw: bytes,
        input_chars: int,
        task: str | None,
        warm_up: bool,
        stage: int = 0,
        replica: int = 0,
    ) -> None:
        self.id = request_id
        self.replica = replica
        self.raw = raw
        self.input_chars = input_chars
        self.task = task
        self.warm_up = warm_up
        self.stage = stage
        self.scheduled_ns = self.sending_ns = 0
        self.sent_ns: int | None = None
        self.attempt = 1
        self.resent = self.opens = False
        self.steps: tuple[Step, ...] = ()
        self.turn = 0
        self._first_raw = raw

    @property
    def due_ns(self) -> int:
        """When the exchange now was to be sent."""
        return self.steps[-1].end_ns if self.steps else self.scheduled_ns

    def limit_from_ns(self, now_ns: int) -> int:
        """Where the time limit of the whole begins, for an exchange that is sent now."""
        return self.steps[0].sent_ns if self.steps else now_ns

    def go_on(self, step: Step, raw: bytes) -> None:
        """One exchange is over, the next one is to be sent."""
        self.steps = (*self.steps, step)
        self.raw, self.sent_ns = raw, None
        self.resent = False

    @property
    def asked(self) -> bytes:
        """The request that says what is asked: of two exchanges the first."""
        return self._first_raw

    def forget(self) -> None:
        """Sent, and not to be sent again."""
        self.raw = self._first_raw = b""

    def next_attempt(self) -> None:
        """Make ready to be sent again after a failure."""
        self.attempt += 1
        self.raw, self.sent_ns = self._first_raw, None
        self.steps = ()
        self.resent = False


class Landed:
    """A request that is over, not yet decoded.

    Attributes:
        recorded: decoded and written.
        text: once decoded, the answer; None = not decoded, or not answered in full.
        asked: the request; until decoded, as an error may repeat it.
    """

    __slots__ = (
        "answer",
        "asked",
        "attempt",
        "end_ns",
        "ending",
        "flight",
        "recorded",
        "scheduled_ns",
        "sent_ns",
        "steps",
        "text",
    )

    def __init__(self, flight: Flight, answer: Answer | None, ending: Ending, end_ns: int | None) -> None:
        self.flight = flight
        self.answer = answer
        self.ending = ending
        self.end_ns = end_ns
        # A request tried again flies on under the same Flight with new stamps.
        self.scheduled_ns = flight.scheduled_ns
        self.steps = flight.steps
        self.sent_ns = _sent_ns(flight, answer) if not flight.steps else flight.steps[0].sent_ns
        self.attempt = flight.attempt
        self.asked = flight.asked
        self.text: str | None = None
        self.recorded = False


def _sent_ns(flight: Flight, answer: Answer | None) -> int | None:
    """When it was sent: an answer may begin while the call that sends is still returning.

    A server may even answer before it has read all: the request then counts as sent when it began.
    """
    if answer is None or answer.first_byte_ns is None:
        return flight.sent_ns
    return min(flight.sent_ns or flight.sending_ns, answer.first_byte_ns)


def step_of(flight: Flight, answer: Answer, end_ns: int) -> Step:
    """An exchange of a flight that came to its end."""
    sent_ns, first_byte_ns = _sent_ns(flight, answer), answer.first_byte_ns
    assert sent_ns is not None
    assert first_byte_ns is not None
    return Step(sent_ns=sent_ns, first_byte_ns=first_byte_ns, end_ns=end_ns, status=answer.status or 0)


class Recorder:
    """Decodes landed requests when there is time, and writes their records.

    Args:
        from_schedule: latencies count from when a request was due, not from when it was sent.
    """

    def __init__(self, target: Target, writer: ShardWriter, from_schedule: bool = False) -> None:
        self._from_schedule = from_schedule
        self._targets = [replica.target for replica in replicas_of(target)]
        self._servers = ServedBy(target)
        self._dialect = dialect(target.api)
        self._writer = writer
        self.waiting: deque[Landed] = deque()
        self.waiting_bytes = 0
        self._due_ns = 0
        self._working = False
        self.pulse = Pulse()
        self.chunks = 0

    def keep(self, landed: Landed) -> None:
        """Put aside for later."""
        if not self.waiting:
            self._due_ns = time.monotonic_ns() + _TOGETHER_NS
        self.waiting.append(landed)
        landed.flight.forget()
        self.waiting_bytes += _held_bytes(landed)

    def wait_ns(self, now_ns: int) -> int:
        """How long what waits may still wait; decoded together, on a warm core, it takes half the time.

        0 = there is work, until nothing waits any more.
        """
        if not self.waiting:
            self._working = False
            return _TOGETHER_NS
        if self._working or len(self.waiting) >= _TOGETHER or now_ns >= self._due_ns:
            self._working = True
            return 0
        return self._due_ns - now_ns

    def work(self) -> None:
        """Decode and write one request."""
        landed = self.waiting.popleft()
        self.waiting_bytes -= _held_bytes(landed)
        self.record(landed)

    def answer(self, landed: Landed) -> str | None:
        """What a kept request was answered, decoded now if it was not before; None = not answered in full."""
        if not landed.recorded:
            self.waiting.remove(landed)
            self.waiting_bytes -= _held_bytes(landed)
            self.record(landed)
        return landed.text

    def record(self, landed: Landed) -> bool:
        """Decode and write a request now; True when it was answered in full."""
        landed.recorded = True
        decoded = self._decode(landed)
        flight = landed.flight
        answer = landed.answer
        record = RequestRecord(
            id=flight.id,
            scheduled_ns=landed.scheduled_ns,
            sent_ns=landed.sent_ns,
            first_byte_ns=None if answer is None else answer.first_byte_ns,
            end_ns=landed.end_ns,
            token_ns=token_stamps(decoded.token_ns),
            status=None if answer is None else answer.status,
            outcome=decoded.outcome,
            error=self._error(landed, decoded),
            input_chars=flight.input_chars,
            output_chars=len(decoded.text),
            output_tokens=decoded.output_tokens,
            tokens_from=decoded.tokens_from,
            finish_reason=self._finish_reason(landed, decoded),
            task=flight.task,
            warm_up=flight.warm_up,
            attempt=landed.attempt,
            stage=flight.stage,
            from_schedule=self._from_schedule,
            steps=landed.steps,
            turn=flight.turn,
            served_by=self._servers.label(flight.replica, answer) if self._servers.several else None,
            text_at=self._writer.add_text(decoded.text),
        )
        self._writer.add(record)
        self.pulse.add(record)
        if flight.turn and record.ok:
            landed.text = decoded.text
        landed.answer, landed.asked = None, b""  # a conversation may hold it for as long as its user thinks
        return record.ok

    def _error(self, landed: Landed, decoded: Decoded) -> str | None:
        if decoded.error is None:
            return None
        return hidden(decoded.error, self._targets[landed.flight.replica], landed.asked, decoded.text)

    def _finish_reason(self, landed: Landed, decoded: Decoded) -> str | None:
        target = self._targets[landed.flight.replica]
        return hidden_reason(decoded.finish_reason, target, landed.asked, decoded.text)

    def _decode(self, landed: Landed) -> Decoded:
        answer, ending = landed.answer, landed.ending
        if answer is None or answer.status is None:
            outcome = _UNANSWERED.get(ending.how, MALFORMED)
            return Decoded(outcome=outcome, error=ending.detail or ending.how)
        self.chunks += len(answer.pieces)
        target = self._targets[landed.flight.replica]
        decoder = self._dialect.decoder(target, answer.status, answer.headers)
        decoder.feed_many(answer.stamps, answer.pieces)
        return decoder.finish(ending)


def _held_bytes(landed: Landed) -> int:
    pieces = () if landed.answer is None else landed.answer.pieces
    return _OBJECTS_BYTES + len(landed.asked) + sum(map(len, pieces))


def complete_or(answer: Answer | None, ending: Ending) -> Ending:
    """The answer's own end when it had come whole before the connection ended."""
    return Ending(COMPLETE) if answer is not None and answer.complete else ending

"""The record of one request: raw stamps, kept for as long as the run is."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from pytest_llmserve.domain.marks import first_of
from pytest_llmserve.domain.outcome import OK
from pytest_llmserve.domain.stamps import TokenStamps, token_stamps
from pytest_llmserve.domain.units import NS_PER_MS


class Texts(Protocol):
    """Where answers lie."""

    def read(self, at: int) -> str:
        """Return one answer."""


NOT_KEPT = -1
"""`RequestRecord.text_at` of an answer that came when as many bytes of answers had been kept as may be."""


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An exchange before the one that brought the answer, such as the order of a queue's place.

    Attributes:
        sent_ns, first_byte_ns, end_ns: as of a request.
    """

    sent_ns: int
    first_byte_ns: int
    end_ns: int
    status: int


# gc=False: nothing a record holds leads back to it, so the collector need not know of it.
class RequestRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request. Stamps are of one host's monotonic clock, in nanoseconds; None = did not happen.

    Attributes:
        scheduled_ns: when the plan wanted it sent.
        sent_ns: when the socket had accepted the request's bytes; when it began to be sent, where the server
            answered before it had read them all.
        token_ns: stamp of each chunk that carries tokens. Chunks of one read share a stamp.
            Read like a tuple; given as one, it is packed.
        tokens_from: "usage" (the server's count), "estimated" (number of chunks) or None.
        warm_up: sent during warm-up, so not part of any figure.
        attempt: 1 for the first try; higher when the load tries failed requests again.
        text_at: where `texts` has the answer; None for an empty one, NOT_KEPT for one too many.
        stage: number of the stage in which it was due, from 0.
        from_schedule: open loop: `ttft_ms` and `e2e_ms` count from `scheduled_ns`.
        steps: of an API with two exchanges an answer: those before the last, which `status` and
            `first_byte_ns` are of; `sent_ns` is of the first.
        served_by: which of several replicas or models answered, or None where there is one.
        turn: of a conversation, from 1; 0 = no part of one.
    """

    id: int
    scheduled_ns: int
    sent_ns: int | None
    first_byte_ns: int | None
    end_ns: int | None
    token_ns: TokenStamps
    status: int | None
    outcome: str
    error: str | None
    input_chars: int
    output_chars: int
    output_tokens: int | None
    tokens_from: str | None
    finish_reason: str | None
    task: str | None = None
    warm_up: bool = False
    attempt: int = 1
    stage: int = 0
    from_schedule: bool = False
    text_at: int | None = None
    steps: tuple[Step, ...] = ()
    served_by: str | None = None
    turn: int = 0
    texts: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        if not isinstance(self.token_ns, TokenStamps):
            msgspec.structs.force_setattr(self, "token_ns", token_stamps(self.token_ns))

    @property
    def ok(self) -> bool:
        """True when answered in full."""
        return self.outcome == OK

    @property
    def conversation(self) -> int | None:
        """The id of the request that began its conversation; None = no part of one."""
        return first_of(self.id) if self.turn else None

    @property
    def first_token_ns(self) -> int | None:
        """Stamp of the first chunk that carries tokens."""
        return self.token_ns.first_ns

    @property
    def last_token_ns(self) -> int | None:
        """Stamp of the last chunk that carries tokens."""
        return self.token_ns.last_ns

    @property
    def text(self) -> str:
        """The answer, read from the run's private folder when asked for.

        Raises:
            GeneratorError: it is no longer there, or was one too many to be kept.
        """
        if self.text_at is None or self.texts is msgspec.UNSET:
            return ""
        return str(self.texts.read(self.text_at))

    @property
    def ttft_ms(self) -> float | None:
        """first_token - sent (open loop: - scheduled), or None without a token."""
        return self._late_ms(self._begun_ns, self.first_token_ns)

    @property
    def e2e_ms(self) -> float | None:
        """end - sent (open loop: - scheduled), or None when never sent or never ended."""
        return self._late_ms(self._begun_ns, self.end_ns)

    @property
    def ttft_sent_ms(self) -> float | None:
        """first_token - sent in any loop, or None without a token."""
        return self._late_ms(self.sent_ns, self.first_token_ns)

    @property
    def e2e_sent_ms(self) -> float | None:
        """end - sent in any loop, or None when never sent or never ended."""
        return self._late_ms(self.sent_ns, self.end_ns)

    @property
    def _begun_ns(self) -> int | None:
        return self.scheduled_ns if self.from_schedule and self.sent_ns is not None else self.sent_ns

    @staticmethod
    def _late_ms(begun_ns: int | None, until_ns: int | None) -> float | None:
        return None if begun_ns is None or until_ns is None else (until_ns - begun_ns) / NS_PER_MS

    @property
    def tpot_ms(self) -> float | None:
        """(last_token - first_token) / (output_tokens - 1).

        None below two tokens, and where all came in one piece, so that nothing was between
        them: an answer that was not streamed, or that something on its way held back.
        """
        gaps_ns = self.token_ns.gaps_ns
        if self.output_tokens is None or self.output_tokens < 2 or not any(gaps_ns):
            return None
        return sum(gaps_ns) / NS_PER_MS / (self.output_tokens - 1)

"""Whether a server survived a hostile input: what was seen of the case, and what is said of it."""

from __future__ import annotations

from typing import Any

import msgspec


class Survival(msgspec.Struct, frozen=True, kw_only=True):
    """What one hostile input did. True where it did no harm: ``assert llm_endpoint.survives(body)``.

    Attributes:
        what: all of it in a sentence, shown where an assertion fails.
        faults: one clause each; empty = survived.
        outcome: of the input's own request, a word of `domain.outcome`.
        status: of its answer, None when none came.
        took_ms: from its sending to its end.
        not_seen: clauses on what could not be looked at, such as the server's memory.
        sent: the input as a curl command, or its beginning with its length and hash.
        input_bytes, input_sha256: of the body that was sent.
        evidence: a line each, beside the faults.
        unusable: why the server is of no use for a further case, a clause; None = it is.
    """

    what: str
    faults: tuple[str, ...] = ()
    outcome: str
    status: int | None = None
    took_ms: float = 0.0
    not_seen: tuple[str, ...] = ()
    sent: str = ""
    input_bytes: int = 0
    input_sha256: str = ""
    evidence: tuple[str, ...] = ()
    unusable: str | None = None

    def __bool__(self) -> bool:
        return not self.faults

    def __repr__(self) -> str:
        return f"Survival({'survived' if self else 'NOT survived'}: {self.what})"

    @property
    def lines(self) -> list[str]:
        """The sentence, and the evidence under it."""
        return [self.what, *(f"  {line}" for line in self.evidence)]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A raw answer, as far as it came.

    Attributes:
        outcome: as the API's own decoder has it, a word of `domain.outcome`.
        status: HTTP status; None = not a word came.
        error: the decoder's sentence, without secrets.
        no_answer: why a whole 2xx is no answer to the question that was asked; None = it is one, though
            it may say nothing, or what was sent was no question.
        named: what the client had named beside the body: the path and the model.
        content_type: the header; empty where there is none.
        body: unpacked.
        text: the answer in it, as far as the API's decoder knows it.
        tokens: pieces of an answer in it.
        complete: it came to its end.
        begun_ns, end_ns: monotonic clock.
    """

    outcome: str
    status: int | None = None
    error: str | None = None
    no_answer: str | None = None
    named: str = ""
    content_type: str = ""
    body: bytes = b""
    text: str = ""
    tokens: int = 0
    complete: bool = True
    begun_ns: int = 0
    end_ns: int = 0


class Said(msgspec.Struct, frozen=True):
    """One answer to the probe: its text, or why there is none."""

    text: str | None
    error: str | None = None


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What a server had answered to the probe before the first case.

    Attributes:
        params: fields of the request that it took.
        texts: its answers: several, where the company of others changes them.
        alike: those that came without company were one text.
        unknown: why they are no measure, a clause; None = they are.
        answers: it was answered each time, whatever was said.
    """

    params: dict[str, Any] = msgspec.field(default_factory=dict)
    texts: frozenset[str] = frozenset()
    alike: bool = True
    unknown: str | None = None
    answers: bool = True


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """One question of the light load beside the cases.

    Attributes:
        id: counted from 1.
        begun_ns, end_ns: monotonic clock; `end_ns` is None while it is unanswered.
        outcome: a word of `domain.outcome`; None while it is unanswered.
        status, error: of its answer.
    """

    id: int
    begun_ns: int
    end_ns: int | None = None
    outcome: str | None = None
    status: int | None = None
    error: str | None = None

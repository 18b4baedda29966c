"""Whether a server survived a hostile input, and whether it returned to what it was after clients left."""

from __future__ import annotations

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
    """

    what: str
    faults: tuple[str, ...] = ()
    outcome: str
    status: int | None = None
    took_ms: float = 0.0
    not_seen: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.faults

    def __repr__(self) -> str:
        return f"Survival({'survived' if self else 'NOT survived'}: {self.what})"

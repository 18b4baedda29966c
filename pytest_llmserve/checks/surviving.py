"""Whether a server survived a hostile input: from what was seen beside it to one sentence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from pytest_llmserve.checks.clean import NEVER_LOOKED_AT, answer_faults
from pytest_llmserve.domain.outcome import (
    CUT_OFF,
    MALFORMED,
    OK,
    REFUSED,
    RESET,
    SERVER_ERROR_IN_STREAM,
    TIMED_OUT,
)
from pytest_llmserve.domain.printable import printable
from pytest_llmserve.domain.survival import Answered, Neighbour, Reference, Said, Survival
from pytest_llmserve.domain.units import BYTES_PER_MB, NS_PER_MS, mb_text, ms_text

_SHOWN_CHARS = 40
_LOOKED_AT_BYTES = 65_536
_NAMED = 3
"""So many neighbours are named."""
_LATER, _LATER_MS = 3.0, 1000.0
"""A neighbour that took so many times what was usual, and so much longer, is told."""
_TOO_MANY = 429
_TRIES = 7
"""The probe is asked so often at most where it is answered otherwise than before."""
_ILL_TRIES = 3
"""And so often where it had failed before the first case: one answer shows that the server lives."""


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What was seen beside the answer to the case itself.

    Attributes:
        sent: the body of the request.
        clean: takes secrets out of what the server said, before it is cut.
        reference: what the probe's answers are held against.
        probes: its answers after the case, the last one decides; empty = it was not asked.
        ended: what became of the server's process, a clause; None = it is the same, or not known.
        jump_bytes: what its memory rose by; None = not known.
        limit_bytes: what it may rise by, beyond what the input itself weighs.
        neighbours: the questions that were under way meanwhile.
        usual_ms: how long a neighbour took before; None = not known.
        not_seen: clauses on what could not be looked at.
    """

    sent: bytes
    clean: Callable[[str], str] = str
    reference: Reference = field(default_factory=Reference)
    probes: tuple[Said, ...] = ()
    ended: str | None = None
    jump_bytes: int | None = None
    limit_bytes: int = 0
    neighbours: tuple[Neighbour, ...] = ()
    usual_ms: float | None = None
    not_seen: tuple[str, ...] = ()


def survival_of(answered: Answered, beside: Beside) -> Survival:
    """What is to be said of a case."""
    took_ms = (answered.end_ns - answered.begun_ns) / NS_PER_MS
    after = [
        fault
        for fault in (
            None if beside.ended is not None else probe_fault(beside.reference, beside.probes),
            neighbours_fault(beside.neighbours, answered.begun_ns),
            _jump_fault(beside),
        )
        if fault is not None
    ]
    ended = () if beside.ended is None else (beside.ended,)
    faults = (*ended, *answer_faults(answered, beside.sent, beside.clean), *after)
    not_seen = (*beside.not_seen, *_never_looked_at(answered))
    lost = beside.ended or probe_fault(beside.reference, beside.probes)
    what = "; ".join(faults) if faults else _well(answered, beside, took_ms)
    return Survival(
        what=what + (f" (not seen: {'; '.join(not_seen)})" if not_seen else ""),
        faults=faults,
        outcome=answered.outcome,
        status=answered.status,
        took_ms=took_ms,
        not_seen=not_seen,
        unusable=lost,
        evidence=(_told(answered, took_ms, beside.clean), *_evidence(beside, answered.begun_ns)),
    )


def _well(answered: Answered, beside: Beside, took_ms: float) -> str:
    parts = [f"it {_did(answered)} in {ms_text(took_ms)}"]
    if beside.probes:
        parts.append(_probe_told(beside.reference, beside.probes))
    if beside.jump_bytes is not None:
        parts.append(f"its memory rose by {mb_text(max(0, beside.jump_bytes))}")
    if beside.neighbours:
        parts.append(f"{_count(len(beside.neighbours), 'neighbour')} answered")
    return ", ".join([*parts, *_later(beside)])


def _did(answered: Answered) -> str:
    if answered.status is None:  # no fault only where the head lied about the length of the body
        silent = answered.outcome == TIMED_OUT
        return "neither answered nor closed the connection" if silent else "closed the connection"
    if answered.status is not None and answered.status >= 400:
        return f"refused the input with {answered.status}"
    within = answered.outcome == SERVER_ERROR_IN_STREAM
    return f"refused the input inside a {answered.status} answer" if within else f"answered {answered.status}"


# -- the probe


def reference_of(params: Mapping[str, Any], alone: Sequence[Said], beside: Sequence[Said] = ()) -> Reference:
    """What the probe's answers are held against from now on.

    Where one failed, so may the next. Two answers that came once only, with nobody beside, tell of more that
    have not come yet: then they are no measure.

    Args:
        params: fields of the request that the server took.
        alone: its answers before the first case, with nobody beside.
        beside: those in the company of neighbours.
    """
    said = [*alone, *beside]
    failed = [each.error for each in said if each.text is None]
    if failed:
        times = _count(len(said), "time")
        why = f"the probe failed {len(failed)} of {times} before the first case ({failed[0]})"
        return Reference(params=dict(params), unknown=why, answers=False)
    there = Counter(each.text for each in alone)
    unknown = None
    if sum(count == 1 for count in there.values()) > 1:
        times = _count(len(alone), "time")
        unknown = f"the probe's text, {len(there)} different answers when it was asked {times} before"
    texts = frozenset(each.text for each in said if each.text is not None)
    return Reference(params=dict(params), texts=texts, alike=len(there) == 1, unknown=unknown)


def is_right(reference: Reference, said: Said) -> bool:
    """It answers as before, or, where that is no measure, at all."""
    return said.text is not None and (reference.unknown is not None or said.text in reference.texts)


def is_decided(reference: Reference, probes: Sequence[Said]) -> bool:
    """The probe has not to be asked again: it was right at once, or right or wrong often enough."""
    right = sum(is_right(reference, each) for each in probes)
    wrong = len(probes) - right
    if not reference.answers:
        return right > 0 or wrong == _ILL_TRIES
    if wrong == 0 or probes[-1].text is None:
        return True
    if not reference.alike:
        return right > 0 or wrong == _TRIES
    return max(right, wrong) > _TRIES // 2


def probe_fault(reference: Reference, probes: Sequence[Said]) -> str | None:
    """What is wrong with the answers to the probe after a case.

    Where it was answered alike before, most of them must be right; where it was not, one. So it is where it
    failed before: what is not well by itself has to answer now and then all the same.
    """
    wrong = [each for each in probes if not is_right(reference, each)]
    if not wrong:
        return None
    right = len(probes) - len(wrong)
    if not reference.answers:
        ill = f"it did not answer the probe afterwards ({wrong[-1].error}), and had failed it before"
        return None if right else f"{ill} the first case: nothing can be judged of a server that is not well"
    if wrong[-1].text is None:
        return f"it did not answer the probe afterwards ({wrong[-1].error})"
    if right >= len(wrong) or (right and not reference.alike):
        return None
    often = f", {len(wrong)} of {len(probes)} times" if right else ""
    return f"it answers the probe otherwise than before{often}: {_instead(reference, wrong[-1].text)}"


def _probe_told(reference: Reference, probes: Sequence[Said]) -> str:
    """Answers to the probe that are no fault."""
    other = [each.text for each in probes if each.text is not None and not is_right(reference, each)]
    if other:
        often = f"{len(other)} of {_count(len(probes), 'time')}"
        return f"the probe was answered otherwise than before {often} ({_instead(reference, other[-1])})"
    return f"the probe was answered {'as before' if reference.unknown is None else 'afterwards'}"


def _instead(reference: Reference, text: str) -> str:
    return f"{_shown(text)} instead of {_shown(sorted(reference.texts)[0])}"


# -- the neighbours


def neighbours_fault(neighbours: Sequence[Neighbour], begun_ns: int) -> str | None:
    """The questions of others that failed or were not answered, the first few told; None = there are none."""
    harmed = [each for each in neighbours if each.outcome != OK and each.status != _TOO_MANY]
    if not harmed:
        return None
    told = [f"{_asked(each, begun_ns)} the input {_fared(each)}" for each in harmed[:_NAMED]]
    if len(harmed) == 1:
        return f"a question {told[0]}"
    more = f", and {len(harmed) - _NAMED} more" if len(harmed) > _NAMED else ""
    return f"{len(harmed)} questions of others were harmed: {', '.join(f'one {each}' for each in told)}{more}"


def _asked(neighbour: Neighbour, begun_ns: int) -> str:
    away_ms = (neighbour.begun_ns - begun_ns) / NS_PER_MS
    return f"asked {max(1, round(abs(away_ms)))} ms {'after' if away_ms >= 0 else 'before'}"


_FATES = {
    None: "was not answered",
    OK: "was answered",
    REFUSED: "found no server any more",
    RESET: "lost its connection",
    TIMED_OUT: "was not answered in time",
    CUT_OFF: "got half an answer",
    MALFORMED: "got what is no answer",
    SERVER_ERROR_IN_STREAM: "got an error inside its answer",
}


def _fared(neighbour: Neighbour) -> str:
    """What became of a question, as the one who asked it sees it."""
    fate = _FATES.get(neighbour.outcome)
    if fate is None:
        return f"was answered {neighbour.error or neighbour.status}"
    return f"{fate} ({neighbour.error})" if neighbour.error else fate


def _later(beside: Beside) -> list[str]:
    """Neighbours that had to wait; told, and no fault."""
    usual_ms = beside.usual_ms
    took = [(n.end_ns - n.begun_ns) / NS_PER_MS for n in beside.neighbours if n.end_ns is not None]
    if usual_ms is None or not took or max(took) < max(_LATER * usual_ms, usual_ms + _LATER_MS):
        return []
    return [f"a neighbour waited {ms_text(max(took))} instead of {ms_text(usual_ms)}"]


def usual_ms(neighbours: Sequence[Neighbour]) -> float | None:
    """How long a neighbour takes that is answered: the median; None without one."""
    took = [(n.end_ns - n.begun_ns) / NS_PER_MS for n in neighbours if n.outcome == OK and n.end_ns]
    return median(took) if took else None


# -- the rest


def _jump_fault(beside: Beside) -> str | None:
    rise, weight = beside.jump_bytes, len(beside.sent)
    if rise is None or rise <= beside.limit_bytes + weight:
        return None
    weighs = f" beyond the input's own {mb_text(weight)}" if weight >= BYTES_PER_MB else ""
    return f"its memory rose by {mb_text(rise)}, more than {mb_text(beside.limit_bytes)}{weighs}"


def _never_looked_at(answered: Answered) -> list[str]:
    if answered.status not in NEVER_LOOKED_AT:
        return []
    return [f"whether the input was looked at at all, as it was refused with {answered.status}"]


def _told(answered: Answered, took_ms: float, clean: Callable[[str], str] = str) -> str:
    """The answer to the case in a line."""
    if answered.status is None:
        return f"answer: none within {ms_text(took_ms)}, {answered.error or answered.outcome}"
    kind = answered.content_type or "no Content-Type"
    text = " ".join(clean(answered.body[:_LOOKED_AT_BYTES].decode("utf-8", "replace")).split())[:200]
    shown = printable(text)
    return f"answer: {answered.status} in {ms_text(took_ms)}, {kind}, {len(answered.body)} bytes: {shown}"


def _evidence(beside: Beside, begun_ns: int) -> list[str]:
    lines = []
    if beside.probes:
        said = [_shown(each.text) if each.text is not None else each.error or "" for each in beside.probes]
        lines.append(f"probe afterwards: {', then '.join(said)}")
    if beside.neighbours:
        told = [f"one {_asked(each, begun_ns)} it {_fared(each)}" for each in beside.neighbours[:_NAMED]]
        lines.append(f"neighbours: {len(beside.neighbours)} under way: {', '.join(told)}")
    if beside.jump_bytes is not None:
        lines.append(f"memory: {beside.jump_bytes / BYTES_PER_MB:+.1f} MB")
    return [*lines, *(f"not seen: {each}" for each in beside.not_seen)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")

"""Answers that carry the mark of another request than their own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import msgspec

from pytest_llmserve.checks.company import company
from pytest_llmserve.domain.isolation import Asked, Carried
from pytest_llmserve.domain.marks import DIGITS, first_of, nonce, request_behind
from pytest_llmserve.domain.mix import Aborted
from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.stats.binomial import p_at_least

_MARK = re.compile(rf"(?<![0-9A-Za-z])[0-9a-f]{{{DIGITS}}}(?![0-9A-Za-z])")
"""A word of so many hex digits. Longer ones, such as hashes, hold none: by chance they would, often."""
_WORDS = 16**DIGITS
_AROUND = 40


@dataclass(frozen=True)
class Batch:
    """A run whose answers are read.

    Attributes:
        number: of the test's run, from 1; of requests asked alone, of the run they were asked before.
        alone: one request after the other.
    """

    number: int
    run: LoadResult
    alone: bool = False

    @property
    def salt(self) -> str | None:
        """What its marks are made of; None = it has none, or was put together of rounds that share them."""
        return self.run.plan.salt if self.run.rounds is None else None

    @cached_property
    def _begin_ns(self) -> int:
        return min((r.scheduled_ns for r in self.run.requests), default=self.run.start_ns)

    def asked(self, record: RequestRecord) -> Asked:
        """One of its requests, as reports name it."""
        at_s = None if record.sent_ns is None else (record.sent_ns - self._begin_ns) / NS_PER_S
        return Asked(id=record.id, run=self.number, task=record.task, alone=self.alone, at_s=at_s)


class Owner(NamedTuple):
    """To whom a mark belongs."""

    asked: Asked
    sent_ns: int | None
    end_ns: int | None


@dataclass(frozen=True)
class Found:
    """What all answers carried.

    Attributes:
        answers: number of them, not empty.
        together: of the runs' answers, those given while another request was under way.
        repeated: of the runs' answers, those that carry their own request's mark.
        beside: of these, the ones given while another request was under way: only they can show anything.
        marked: of the runs' answers, those to a request with a mark.
        not_kept: answers that could not be read.
        carried: one for each answer with a mark of another request, in the order of reading.
        p_chance: how likely so many different marks of others would be among words of eight hex digits
            drawn by chance; 1 without any.
    """

    answers: int = 0
    together: int = 0
    repeated: int = 0
    beside: int = 0
    marked: int = 0
    not_kept: int = 0
    carried: tuple[Carried, ...] = ()
    p_chance: float = 1.0


def carried_marks(
    batches: Sequence[Batch], aborted: Sequence[Aborted], quoted: bool, clean: Callable[[str], str] = str
) -> Found:
    """Read every answer once.

    A mark counts where it was issued by a request other than the answer's, sent before that answer was over:
    what a prompt of the user's holds of hex digits is no mark.

    Args:
        batches: runs, and requests asked alone.
        aborted: requests that left no record.
        quoted: the answers' words may be shown.
        clean: takes secrets out of these, before they are cut.

    Raises:
        GeneratorError: answers are no longer there.
    """
    issued = _Issued(batches, aborted)
    counts: Counter[str] = Counter()
    strangers: set[str] = set()
    carried: list[Carried] = []
    for batch in batches:
        crowd = frozenset() if batch.alone else company(batch.run, aborted)
        for record in batch.run.everything:
            if record.text_at == NOT_KEPT:
                counts["not_kept"] += 1
                continue
            text = record.text
            if not text:
                continue
            own = None if batch.salt is None else nonce(batch.salt, record.id)
            words = {match.group(): match.start() for match in _MARK.finditer(text)}
            counts.update(_told(batch, own, own in words, record.id in crowd))
            words.pop(own or "", None)
            strangers.update(words)
            found = _first(batch, record, words, issued)
            if found is not None:
                at = words[found.mark or ""]
                carried.append(_with_excerpt(found, text, at, clean) if quoted else found)
    return Found(**counts, carried=tuple(carried), p_chance=_p_chance(carried, strangers, issued))


def _told(batch: Batch, own: str | None, repeated: bool, crowded: bool) -> list[str]:
    """As what an answer counts."""
    if batch.alone:
        return ["answers"]
    marks = {"together": crowded, "marked": own is not None, "repeated": repeated}
    return [
        "answers",
        *(name for name, holds in marks.items() if holds),
        *["beside"] * (repeated and crowded),
    ]


def _p_chance(carried: Sequence[Carried], strangers: set[str], issued: _Issued) -> float:
    """Of as many different words of hex digits, so many are marks; a word that comes again is one."""
    marks = {one.mark for one in carried}
    return p_at_least(len(marks), len(strangers), issued.number / _WORDS) if marks else 1.0


def _first(batch: Batch, record: RequestRecord, words: Mapping[str, int], issued: _Issued) -> Carried | None:
    """The first word that is another request's mark."""
    for word, at in words.items():
        owner = issued.owner(word, record)
        if owner is not None:
            return Carried(
                answer=batch.asked(record),
                owner=owner.asked,
                mark=word,
                at_char=at,
                apart_s=apart_s(record, owner.sent_ns, owner.end_ns),
            )
    return None


def apart_s(record: RequestRecord, sent_ns: int | None, end_ns: int | None) -> float | None:
    """How long before a request another one was over: 0 where both were under way at once."""
    if None in (record.sent_ns, sent_ns):
        return None
    assert record.sent_ns is not None
    return 0.0 if end_ns is None else max(0, record.sent_ns - end_ns) / NS_PER_S


def _with_excerpt(found: Carried, text: str, at: int, clean: Callable[[str], str]) -> Carried:
    before, behind = clean(text[:at]), clean(text[at + DIGITS :])
    around = before[max(0, len(before) - _AROUND) :] + text[at : at + DIGITS] + behind[:_AROUND]
    return msgspec.structs.replace(found, excerpt=around)


class _Issued:
    """The marks that requests of a test carried. None is kept: each leads back to its request."""

    def __init__(self, batches: Sequence[Batch], aborted: Sequence[Aborted]) -> None:
        self._aborted = {one.mark: one for one in aborted}
        self._sent: dict[str, dict[int, list[tuple[Batch, RequestRecord]]]] = {}
        self._cut: dict[str, tuple[Batch, int]] = {}
        for batch in batches:
            if batch.salt is not None:
                self._add(batch, batch.salt)
        self.number = len(self._aborted) + sum(map(len, self._sent.values()))

    def _add(self, batch: Batch, salt: str) -> None:
        by_id = self._sent.setdefault(salt, {})
        for record in batch.run.everything:
            if record.sent_ns is not None:
                by_id.setdefault(first_of(record.id), []).append((batch, record))
        if batch.run.generator.unfinished:
            self._cut[salt] = batch, max(by_id, default=-1) + batch.run.generator.unfinished

    def owner(self, word: str, record: RequestRecord) -> Owner | None:
        """The request whose mark it is and that can have been heard of when the record's answer was over."""
        end_ns = record.end_ns
        known = [one for one in self._owners(word) if _before(one.sent_ns, end_ns)]
        # Of two with the same mark, alone and together, the later one.
        return max(known, key=lambda one: one.sent_ns or 0, default=None)

    def _owners(self, word: str) -> Iterator[Owner]:
        for salt, by_id in self._sent.items():
            number = request_behind(salt, word)
            for batch, record in by_id.get(number, ()):
                yield Owner(batch.asked(record), record.sent_ns, record.end_ns)
            cut = self._cut.get(salt)
            if cut is not None and number not in by_id and number <= cut[1]:
                yield Owner(Asked(id=number, run=cut[0].number), None, None)
        left = self._aborted.get(word)
        if left is not None:
            yield Owner(Asked(id=None, run=0, aborted=True), left.sent_ns, left.left_ns)


def _before(sent_ns: int | None, end_ns: int | None) -> bool:
    return sent_ns is None or end_ns is None or sent_ns < end_ns

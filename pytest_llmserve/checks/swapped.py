"""Answers that are, letter by letter, what another request was answered when it was asked alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping

from pytest_llmserve.checks.canaries import Batch, apart_s
from pytest_llmserve.domain.isolation import Carried
from pytest_llmserve.domain.mix import TaskMix
from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord
from pytest_llmserve.domain.result import LoadResult

LEAST_CHARS = 20
"""Of an answer that tells one request from another."""
_LEAST_COPIES = 2
"""One answer that came a second time may be a phrase of the model's, such as a refusal; two are not."""


def swapped(mix: TaskMix, number: int) -> list[Carried]:
    """Answers that belong to another request of the mix, each with its owner.

    Proof are requests that got each other's answers (two, or more in a ring), and two or more different
    answers given out to others, of tasks whose prompts have each an answer of its own, where half of the
    answers that changed are such. One alone is not told from a phrase that the model says now and then.

    Args:
        mix: whose requests were asked alone too, for answers without chance.
        number: of its run in the test, from 1.
    """
    if mix.alone is None or not mix.repeatable:
        return []
    records = _Records(mix, number)
    lone, now = texts_of(mix.alone), texts_of(mix.together)
    owner_of = _strange(mix, records, lone, now)
    proof = _in_rings(owner_of)
    few_words = _of_few_words(records, lone)
    copies = {i for i, owner in owner_of.items() if i not in proof and records.task(owner) not in few_words}
    changed = sum(now.get(id_, text) != text for id_, text in lone.items())
    if len({owner_of[id_] for id_ in copies}) >= _LEAST_COPIES and 2 * len(copies) >= changed - len(proof):
        proof |= copies
    return [records.carried(id_, owner) for id_, owner in owner_of.items() if id_ in proof]


def _strange(
    mix: TaskMix, records: _Records, lone: Mapping[int, str], now: Mapping[int, str]
) -> dict[int, int]:
    """Request id -> whose answer it got, of those that were answered otherwise alone and are wrong now.

    An answer belongs to a request where it is long, came once alone, and nobody but these two ever got it.
    """
    counts = Counter(lone.values())
    owners = {text: id_ for id_, text in lone.items() if counts[text] == 1 and len(text) >= LEAST_CHARS}
    said_to: defaultdict[str, set[int]] = defaultdict(set)
    for id_, text in (*lone.items(), *now.items()):
        said_to[text].add(records.prompt(id_))
    found = {}
    for id_, text in now.items():
        owner = owners.get(text, id_)
        if owner == id_ or id_ not in lone or mix.right_together.get(id_) or not records.unlike(id_, owner):
            continue
        if said_to[text] <= {records.prompt(id_), records.prompt(owner)}:
            found[id_] = owner
    return found


def _in_rings(owner_of: Mapping[int, int]) -> set[int]:
    """Requests that, from owner to owner, lead back to themselves: their answers changed places."""
    found = set()
    for start in owner_of:
        at = owner_of[start]
        for _ in owner_of:
            if at == start or at not in owner_of:
                break
            at = owner_of[at]
        if at == start:
            found.add(start)
    return found


def _of_few_words(records: _Records, lone: Mapping[int, str]) -> set[str | None]:
    """Tasks in which prompts share an answer, as labels are shared: one that came once tells nothing."""
    said_to: defaultdict[str, set[int]] = defaultdict(set)
    for id_, text in lone.items():
        said_to[text].add(records.prompt(id_))
    shared = {text for text, prompts in said_to.items() if len(prompts) > 1 and len(text) >= LEAST_CHARS}
    return {records.task(id_) for id_, text in lone.items() if text in shared}


def texts_of(run: LoadResult, only: Container[int] | None = None) -> dict[int, str]:
    """Request id -> its answer without the blanks around it, of those answered in full and kept."""
    wanted = (r for r in run.everything if r.ok and r.text_at != NOT_KEPT and (only is None or r.id in only))
    return {r.id: r.text.strip() for r in wanted}


class _Records:
    """The requests of a mix by their ids."""

    def __init__(self, mix: TaskMix, number: int) -> None:
        assert mix.alone is not None
        self._mix = mix
        self._together, self._alone = Batch(number, mix.together), Batch(number, mix.alone, alone=True)
        self._now: Mapping[int, RequestRecord] = {r.id: r for r in mix.together.everything}
        self._lone: Mapping[int, RequestRecord] = {r.id: r for r in mix.alone.everything}

    def prompt(self, id_: int) -> int:
        """Number of its prompt; where it is not known, one of its own."""
        return self._mix.prompt_of.get(id_, -1 - id_)

    def task(self, id_: int) -> str | None:
        """Of a request that was asked alone."""
        return self._lone[id_].task

    def unlike(self, one: int, other: int) -> bool:
        """Two requests are known to carry different prompts: so two of different tasks do."""
        prompts = self._mix.prompt_of
        if one in prompts and other in prompts:
            return prompts[one] != prompts[other]
        return self._now[one].task != self._lone[other].task

    def carried(self, one: int, owner: int) -> Carried:
        """The owner is named as it was asked beside the other; where it was not, as it was asked alone."""
        answer = self._now[one]
        batch, record = next(self._asked(owner))
        return Carried(
            answer=self._together.asked(answer),
            owner=batch.asked(record),
            apart_s=apart_s(answer, record.sent_ns, record.end_ns),
        )

    def _asked(self, id_: int) -> Iterator[tuple[Batch, RequestRecord]]:
        if id_ in self._now:
            yield self._together, self._now[id_]
        yield self._alone, self._lone[id_]

"""Answers that are, letter by letter, what another request was answered when it was asked alone."""

from __future__ import annotations

from collections import Counter
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

    Known by answers that came once alone, of 20 characters at least, of a request with another prompt. Where
    the owner did not get its answer this time it is a swap; where it did, it is a copy, and one copied answer
    alone is not told from a phrase that the model says now and then.

    Args:
        mix: whose requests were asked alone too, for answers without chance.
        number: of its run in the test, from 1.
    """
    if mix.alone is None or not mix.repeatable:
        return []
    lone, now = texts_of(mix.alone), texts_of(mix.together)
    counts = Counter(lone.values())
    owners = {text: id_ for id_, text in lone.items() if counts[text] == 1 and len(text) >= LEAST_CHARS}
    strange = [(id_, owners[text]) for id_, text in now.items() if owners.get(text, id_) != id_]
    records = _Records(mix, number)
    found = [(id_, owner) for id_, owner in strange if records.unlike(id_, owner)]
    if any(now.get(owner) == lone[owner] for _, owner in found):
        copied = {owner for _, owner in found if now.get(owner) == lone[owner]}
        if len(copied) < _LEAST_COPIES:
            found = [(id_, owner) for id_, owner in found if owner not in copied]
    return [records.carried(id_, owner) for id_, owner in found]


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

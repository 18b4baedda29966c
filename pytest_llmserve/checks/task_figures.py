"""How the tasks of a mix were answered, alone and together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_llmserve.checks.company import company
from pytest_llmserve.checks.swapped import texts_of
from pytest_llmserve.domain.mix import TaskMix
from pytest_llmserve.stats.paired import Stratum


@dataclass(frozen=True)
class TaskFigures:
    """One task of a mix.

    Attributes:
        task: its name.
        answered: requests answered in full, together.
        right: of the task's own check, request id -> it held, together; empty without a check.
        right_alone: the same of the requests asked alone.
        alike: of requests answered both times, request id -> with the same words.
        beside: requests answered while another one was under way: only they are compared; None = all.
        told_once: requests of which each tells something of its own; None = all do.
        strata: alone against those that were asked together only, prompt by prompt; where prompts are known.
        prompts: how many different ones the requests asked alone had; None = not known.
    """

    task: str
    answered: int
    right: Mapping[int, bool]
    right_alone: Mapping[int, bool]
    alike: Mapping[int, bool]
    beside: frozenset[int] | None = None
    told_once: frozenset[int] | None = None
    strata: Sequence[Stratum] = ()
    prompts: int | None = None

    @property
    def pairs(self) -> list[int]:
        """Requests judged both times, the second time beside others."""
        both = (id_ for id_ in self.right_alone if id_ in self.right)
        if self.beside is not None:
            both = (id_ for id_ in both if id_ in self.beside)
        return [id_ for id_ in both if self.told_once is None or id_ in self.told_once]

    @property
    def lost(self) -> list[int]:
        """Right alone, wrong together."""
        return [id_ for id_ in self.pairs if self.right_alone[id_] and not self.right[id_]]

    @property
    def gained(self) -> list[int]:
        """Wrong alone, right together."""
        return [id_ for id_ in self.pairs if self.right[id_] and not self.right_alone[id_]]

    @property
    def share_alone(self) -> float | None:
        """Of right answers among those asked alone; None where none was judged."""
        return _share(self.right_alone)

    @property
    def share(self) -> float | None:
        """Of right answers together; None where none was judged."""
        return _share(self.right)


def task_figures(mix: TaskMix) -> list[TaskFigures]:
    """Of each task, in the order of the mix."""
    task_of = {r.id: r.task for r in mix.together.everything}
    if mix.alone is not None:
        task_of |= {r.id: r.task for r in mix.alone.everything}
    same, once, beside = same_words(mix), _told_once(mix), company(mix.together, mix.aborted)
    found = []
    for task in mix.tasks:
        right = _of(mix.right_together, task_of, task)
        alone = _of(mix.right_alone, task_of, task)
        alike = _of(same, task_of, task)
        answered = sum(1 for r in mix.together.ok if r.task == task)
        crowded = {id_: mark for id_, mark in right.items() if id_ in beside}
        strata = _strata(crowded, alone, mix.prompt_of) if once is None else []
        prompts = len({mix.prompt_of[i] for i in alone if i in mix.prompt_of}) or None
        found.append(TaskFigures(task, answered, right, alone, alike, beside, once, strata, prompts))
    return found


def same_words(mix: TaskMix) -> dict[int, bool]:
    """Of the requests answered both times, request id -> with the same words."""
    if mix.alone is None:
        return {}
    lone = texts_of(mix.alone)
    now = texts_of(mix.together, only=lone.keys())
    return {id_: lone[id_] == text for id_, text in now.items() if id_ in lone}


def _told_once(mix: TaskMix) -> frozenset[int] | None:
    """Without marks, requests of one prompt are one request sent many times: the first tells all."""
    if mix.together.plan.salt is not None or not mix.prompt_of:
        return None
    first: dict[int, int] = {}
    for id_ in sorted(mix.right_alone):
        first.setdefault(mix.prompt_of.get(id_, -1 - id_), id_)
    return frozenset(first.values())


def _of(marks: Mapping[int, bool], task_of: Mapping[int, str | None], task: str) -> dict[int, bool]:
    return {id_: mark for id_, mark in marks.items() if task_of.get(id_) == task}


def _share(marks: Mapping[int, bool]) -> float | None:
    return sum(marks.values()) / len(marks) if marks else None


def _strata(
    right: Mapping[int, bool], alone: Mapping[int, bool], prompt_of: Mapping[int, int]
) -> list[Stratum]:
    """Prompts that were asked alone, and together by further requests."""
    counts: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for id_, held in alone.items():
        if id_ in prompt_of:
            counts[prompt_of[id_]][0] += held
            counts[prompt_of[id_]][1] += 1
    for id_, held in right.items():
        if id_ in prompt_of and id_ not in alone:
            counts[prompt_of[id_]][2] += held
            counts[prompt_of[id_]][3] += 1
    return [Stratum(*each) for each in counts.values() if each[1] and each[3]]

"""Prompts of several tasks as one list, task by task in turns."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from pytest_llmserve.domain.entry import Entry
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.task import Manner, name_fault
from pytest_llmserve.load.prompt_list import source_of
from pytest_llmserve.load.prompts import as_prompts


@dataclass(frozen=True)
class PromptSet:
    """What a load asks.

    Attributes:
        prompts: sent over and over.
        tasks: task name of each prompt, or empty.
        manners: of the tasks whose requests differ from the others, by name.
        source: what reports name as their origin; None = nothing to name.
    """

    prompts: Sequence[Entry]
    tasks: Sequence[str] = ()
    manners: Mapping[str, Manner] = field(default_factory=dict)
    source: str | None = None

    def told(self, plan: LoadPlan) -> LoadPlan:
        """The plan with where the prompts came from."""
        if self.source is None:
            return plan
        return msgspec.structs.replace(plan, prompts_from=self.source, prompt_count=len(self.prompts))


def in_turns(
    prompts: Mapping[str, Sequence[Entry]],
    manners: Mapping[str, Manner] | None = None,
    seed: int | None = None,
) -> PromptSet:
    """One prompt of each task, then the next of each; tasks with fewer begin again, so all have as many.

    Neighbours in a batch are so of unlike tasks. With a seed each turn but the first has an order of its
    own: where as many requests wait as there are tasks, or a multiple, fixed turns bring like upon like.
    """
    turns = max(len(own) for own in prompts.values())
    chance = None if seed is None else random.Random(seed)
    places = []
    for turn in range(turns):
        names = list(prompts)
        if chance is not None and turn:
            chance.shuffle(names)
        places += [(name, prompts[name][turn % len(prompts[name])]) for name in names]
    return PromptSet([prompt for _, prompt in places], [name for name, _ in places], manners or {})


def as_prompt_set(prompts: object) -> PromptSet:
    """Accept what `as_prompts` does, or such prompts by name of their task.

    Raises:
        ValueError: neither; names every fault.
    """
    if not isinstance(prompts, Mapping):
        return PromptSet(as_prompts(prompts), source=source_of(prompts))
    if not prompts:
        raise ValueError('prompts is empty: give a text, a list, or {"chat": [...], "emotion": [...]}')
    faults, sound = [], {}
    for name, own in prompts.items():
        fault = name_fault(name)
        try:
            found = as_prompts(own if own is not None else [])
        except ValueError as error:
            fault = "; ".join(filter(None, (fault, str(error))))
        if fault is None:
            sound[name] = found
        else:
            faults.append(f"task {name!r}: {fault}")
    if faults:
        raise ValueError("; ".join(faults))
    named = dict.fromkeys(filter(None, map(source_of, prompts.values())))
    return replace(in_turns(sound), source=", ".join(named) or None)

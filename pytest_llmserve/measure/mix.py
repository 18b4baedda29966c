"""A mix of tasks: the same requests one after the other, then all at once, and what of it was right."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import msgspec

from pytest_llmserve.domain.entry import first_prompt
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.marks import first_of, nonce
from pytest_llmserve.domain.mix import CANARY, TaskMix
from pytest_llmserve.domain.outcome import HTTP_4XX
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.domain.record import NOT_KEPT, RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.task import Manner
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.load.prompt_sets import PromptSet, in_turns
from pytest_llmserve.measure.canaries import CANARY_TOKENS, canary_prompts
from pytest_llmserve.measure.leaving import Leavers
from pytest_llmserve.measure.recovery import ASK_LIMIT_S, PROBE, manners
from pytest_llmserve.measure.tasks import ReadyTask, check_fault
from pytest_llmserve.serve.endpoint import Endpoint

ALONE = 20
"""Requests of each task that are asked alone first."""
ABORTED_SHARE = 0.1
_MOST_LEAVING = 32

_TEMPERATURE = "temperature"
_MOST_TOKENS = ("max_completion_tokens", "max_tokens")

Hear = Callable[[LoadProgress], object]


@dataclass(frozen=True)
class Mix:
    """What a mix sends, decided before the first request.

    Attributes:
        alone: its plan, or None.
        repeatable: every request asks for temperature 0.
        leaving: share of the requests whose clients leave.
    """

    tasks: Mapping[str, ReadyTask]
    asked: PromptSet
    together: LoadPlan
    alone: LoadPlan | None
    repeatable: bool
    leaving: float

    def leavers(self, target: Target) -> AbstractContextManager[Leavers | None]:
        """The clients that leave, ready to begin."""
        plan = self.together
        if not self.leaving or plan.salt is None:
            return nullcontext()
        prompts, tasks, manners = self.asked.prompts, self.asked.tasks, self.asked.manners
        asked = [
            (first_prompt(p), manners.get(task, Manner())) for p, task in zip(prompts, tasks, strict=True)
        ]
        return Leavers(
            target,
            asked,
            plan.params,
            salt=plan.salt,
            clients=leaving_clients(plan, self.leaving),
            most=None if plan.requests is None else math.ceil(plan.requests * self.leaving),
            share=self.leaving,
            limit_s=plan.timeout_ns / NS_PER_S,
        )


def leaving_clients(plan: LoadPlan, share: float) -> int:
    """How many clients leave at a time: a share of the users at their fullest, or of a second's requests."""
    if plan.is_open:
        rates = [plan.rate or 0.0, *(max(stage.begin, stage.end) for stage in plan.rate_stages)]
        return min(_MOST_LEAVING, max(1, round(max(rates) * share)))
    return max(1, round(plan.most_users * share))


def taken_by(endpoint: Endpoint) -> dict[str, Any]:
    """The fields of `recovery.manners` that the server takes; found by asking one short question."""
    for params in manners(endpoint.api):
        reply = endpoint.generate(PROBE, timeout=ASK_LIMIT_S, **params)
        if reply.outcome != HTTP_4XX:
            return params
    return {}


def mixed(
    plan: LoadPlan,
    tasks: Sequence[ReadyTask],
    taken: Mapping[str, Any],
    *,
    streams: bool,
    alone: object = True,
    canaries: object = True,
    aborts: object = None,
) -> Mix:
    """What to send for a call.

    Args:
        plan: of the load that is asked for.
        tasks: looked through.
        taken: the fields that the server takes, as `taken_by` tells.
        streams: the server streams its answers.
        alone: whether the first requests are asked alone before, or how many of each task.
        canaries: whether the built-in task is mixed in.
        aborts: share of the requests whose clients leave; None = a tenth where answers are streamed.

    Raises:
        SetupError: names every fault.
    """
    streams = streams and plan.stream
    faults = [_alone_fault(alone), _flag_fault(canaries), _aborts_fault(aborts, streams), *_plan_faults(plan)]
    if any(faults):
        raise SetupError("; ".join(fault for fault in faults if fault))
    chance = {} if _TEMPERATURE in plan.params or _TEMPERATURE not in taken else {_TEMPERATURE: 0}
    plan = msgspec.structs.replace(plan, in_order=True, params={**chance, **plan.params})
    every = [*tasks, _canary(tasks, plan, taken)] if canaries else list(tasks)
    manners = {task.name: task.manner for task in every if task.manner != Manner()}
    return Mix(
        tasks={task.name: task for task in every},
        asked=in_turns({task.name: task.prompts for task in every}, manners, plan.seed),
        together=plan,
        alone=_alone_plan(plan, len(every), ALONE if alone is True else alone),  # type: ignore[arg-type]
        repeatable=all(_certain({**plan.params, **task.manner.params}) for task in every),
        leaving=(ABORTED_SHARE if streams else 0.0) if aborts is None else float(aborts),  # type: ignore[arg-type]
    )


def _certain(params: Mapping[str, Any]) -> bool:
    return params.get(_TEMPERATURE) == 0 and _TEMPERATURE in params


def _canary(tasks: Sequence[ReadyTask], plan: LoadPlan, taken: Mapping[str, Any]) -> ReadyTask:
    """The built-in task: short answers, and at the tasks' own path where they share one."""
    known = [name for name in _MOST_TOKENS if name in plan.params or name in taken]
    paths = {task.manner.path for task in tasks}
    manner = Manner(dict.fromkeys(known[:1], CANARY_TOKENS), paths.pop() if len(paths) == 1 else None)
    return ReadyTask(CANARY, canary_prompts(), lambda text, mark: mark in text, manner)


def _alone_plan(plan: LoadPlan, tasks: int, each: int) -> LoadPlan | None:
    """The same requests from the first on, by one user; None for none."""
    requests = max(1, round(each * plan.scale)) * tasks if each else 0
    if plan.requests is not None:
        requests = min(requests, plan.requests)
    if not requests:
        return None
    return LoadPlan(
        users=1,
        requests=requests,
        timeout_ns=plan.timeout_ns,
        connect_timeout_ns=plan.connect_timeout_ns,
        first_byte_timeout_ns=plan.first_byte_timeout_ns,
        idle_timeout_ns=plan.idle_timeout_ns,
        seed=plan.seed,
        in_order=True,
        salt=plan.salt,
        stream=plan.stream,
        retries=plan.retries,
        params=plan.params,
        transport=plan.transport,
        scale=plan.scale,
    )


def _alone_fault(alone: object) -> str | None:
    if isinstance(alone, int) and alone >= 0:
        return None
    return f"alone={alone!r}: give True, False, or how many requests of each task are asked alone first"


def _flag_fault(canaries: object) -> str | None:
    return None if isinstance(canaries, bool) else f"canaries={canaries!r} is not True or False"


def _aborts_fault(aborts: object, streams: bool) -> str | None:
    if aborts is None:
        return None
    if isinstance(aborts, bool) or not isinstance(aborts, (int, float)) or not 0 <= aborts <= 1:
        return f"aborts={aborts!r} is not a share of the requests from 0 to 1, such as 0.1"
    if aborts and not streams:
        return f"aborts={aborts!r}: answers are not streamed here, so nobody can leave in the middle of one"
    return None


def _plan_faults(plan: LoadPlan) -> list[str]:
    faults = []
    if plan.trace is not None:
        faults.append("trace= has prompts of its own: give users= or rate=")
    if plan.salt is None:
        faults.append("nonce=False leaves no marks to tell whose answer one is: leave it out")
    return faults


def run_mix(
    mix: Mix,
    target: Target,
    alone: Callable[[LoadPlan, PromptSet], LoadResult],
    together: Callable[[LoadPlan, PromptSet, Hear], LoadResult],
) -> TaskMix:
    """Run both parts and judge the answers.

    Args:
        mix: what to send.
        target: of the session's server.
        alone: runs a load that no marker judges.
        together: runs one of the test, and tells how far it is.

    Raises:
        SetupError: a check raised.
        LlmServeError: a load came to nothing.
    """
    before = None if mix.alone is None else alone(mix.alone, mix.asked)
    with mix.leavers(target) as leavers:
        after = together(mix.together, mix.asked, _told_nobody if leavers is None else leavers.hear)
    return judged(mix, before, after, leavers)


def _told_nobody(now: LoadProgress) -> None:
    """Without clients that leave, nobody is to be told."""


def judged(mix: Mix, alone: LoadResult | None, together: LoadResult, leavers: Leavers | None) -> TaskMix:
    """What came of it; every answer that is there is held against its task's check."""
    right = _right(mix, together)
    right_alone = {} if alone is None else _right(mix, alone)
    return TaskMix(
        tasks=tuple(mix.tasks),
        together=together,
        alone=alone,
        right_alone=right_alone,
        right_together=right,
        like=_like(mix, together, right),
        like_alone=None if alone is None else _like(mix, alone, right_alone),
        prompt_of=_prompt_of(mix, together),
        repeatable=mix.repeatable,
        aborted=() if leavers is None else leavers.left,
    )


def _right(mix: Mix, run: LoadResult) -> dict[int, bool]:
    found = {}
    for record in _answers(run):
        task = mix.tasks.get(record.task or "")
        if task is None or task.judge is None:
            continue
        try:
            found[record.id] = task.judge(record.text, _mark(run, record))
        except Exception as error:
            raise SetupError(check_fault(task.name, record.id, error)) from error
    return found


def _answers(run: LoadResult) -> list[RequestRecord]:
    return [r for r in run.everything if r.ok and r.text_at != NOT_KEPT]


def _mark(run: LoadResult, record: RequestRecord) -> str:
    return "" if run.plan.salt is None else nonce(run.plan.salt, record.id)


def _prompt_of(mix: Mix, run: LoadResult) -> dict[int, int]:
    """Request id -> number of its prompt; prompts that are alike have one number, turns have their own."""
    first: dict[str, int] = {}
    numbers = [first.setdefault(repr(prompt), place) for place, prompt in enumerate(mix.asked.prompts)]
    found = {}
    for record in run.everything:
        begun = first_of(record.id)
        found[record.id] = numbers[begun % len(numbers)] + record.id - begun
    return found


def _like(mix: Mix, run: LoadResult, right: Mapping[int, bool]) -> dict[int, tuple[str, ...]]:
    """Wrong answers that would be right ones of another task."""
    others = [task for task in mix.tasks.values() if task.judge is not None and task.name != CANARY]
    found = {}
    for record in _answers(run):
        if right.get(record.id) is not False:
            continue
        text, mark = record.text, _mark(run, record)
        names = tuple(task.name for task in others if task.name != record.task and _holds(task, text, mark))
        if names:
            found[record.id] = names
    return found


def _holds(task: ReadyTask, text: str, mark: str) -> bool:
    """A check need not bear the answers of other tasks: one that raises does not hold."""
    assert task.judge is not None
    try:
        return task.judge(text, mark)
    except Exception:
        return False

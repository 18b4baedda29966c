"""Two servers, or two ways to ask one, under the same load by turns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pytest_llmserve.checks.comparison import Comparison
from pytest_llmserve.domain.entry import Entry
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.liveness import absence
from pytest_llmserve.domain.outcome import REFUSED
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.replicas import models_of, urls_of
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.target import Target
from pytest_llmserve.load.engine import Progress
from pytest_llmserve.load.prompt_sets import PromptSet
from pytest_llmserve.measure.rounds import joined, round_plan
from pytest_llmserve.measure.run import measured_run
from pytest_llmserve.measure.watch import Watch

ROUNDS = 8
LEAST_ROUNDS = 2


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One side of a comparison.

    Attributes:
        name: what messages call it.
        target: a server whose dialect is decided.
        plan: of all rounds together.
        watch: of its server, started.
    """

    name: str
    target: Target
    plan: LoadPlan
    watch: Watch

    @property
    def server(self) -> dict[str, Any]:
        """Where it is and how it is spoken to, for reports."""
        return {
            "url": ", ".join(urls_of(self.target)),
            "api": self.target.api,
            "model": ", ".join(models_of(self.target)) or None,
        }


def check_rounds(plan: LoadPlan, rounds: object) -> int:
    """The number of rounds, if the load can be cut into so many; fewer where --llm-scale has made it short.

    Raises:
        SetupError: names every fault.
    """
    faults = []
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 2 or rounds % 2:
        faults.append(f"rounds={rounds!r} is not an even number of 2 or more: each side begins half of them")
    elif plan.requests is not None and plan.requests < (rounds := _fitting(plan, rounds)):
        sent = f"{plan.requests} request{'' if plan.requests == 1 else 's'}"
        faults.append(f"{sent} cannot be cut into {rounds} rounds: give more, or fewer rounds=")
    if plan.steps or plan.trace is not None:
        faults.append("stages=, rate_stages= and trace= cannot be cut into rounds: give users= or rate=")
    if plan.until is not None:
        faults.append('until="decided" cannot be cut into rounds: give requests= or duration=')
    if plan.ramp_up_ns:
        faults.append("ramp_up= would come again in every round: give warm_up=")
    if faults:
        raise SetupError(f"llm_load.compare: {'; '.join(faults)}")
    assert isinstance(rounds, int)
    return rounds


def _fitting(plan: LoadPlan, rounds: int) -> int:
    if plan.scale >= 1 or plan.requests is None:
        return rounds
    return max(LEAST_ROUNDS, min(rounds, plan.requests - plan.requests % 2))


def with_a_request_a_round(plan: LoadPlan) -> LoadPlan:
    """The plan, with a request for each of the fewest rounds where --llm-scale has left a single one."""
    if plan.scale >= 1 or plan.requests != 1:
        return plan
    return msgspec.structs.replace(plan, requests=LEAST_ROUNDS)


def by_turns(
    a: Contender,
    b: Contender,
    prompts: PromptSet | Sequence[Entry],
    rounds: int,
    folder: Callable[[], Path],
    keep: Callable[[Comparison], None],
    *,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Run the rounds, a b b a a b b a ..., never both at once, and keep what they say together.

    A round asks both sides with the same prompts in the same order, the same nonces and the
    same arrivals. Where both sides are one server the nonces differ: else the second
    would find its prompts in the server's cache. When a server is gone, no further round begins.

    Args:
        a: the side under test.
        b: the reference.
        prompts: of both.
        rounds: how many times each side is asked.
        folder: makes a folder for each run.
        keep: takes the comparison; called once unless nothing was measured.
        stop: set from another thread to end it.
        progress: told how far each round is.

    Raises:
        GeneratorError: a worker died; the rounds before it have been kept.
        Stopped: `stop` was set; what was measured has been kept.
        BaseException: what `progress` raised; what was measured has been kept.
    """
    done: tuple[list[LoadResult], list[LoadResult]] = ([], [])
    same = not set(urls_of(a.target)).isdisjoint(urls_of(b.target))
    ended: str | None = None
    try:
        for number, place in _turns(rounds):
            side = (a, b)[place]
            run = measured_run(
                side.target,
                round_plan(side.plan, number, rounds, 2 * number + place if same else number),
                prompts,
                folder(),
                side.watch,
                done[place].append,
                stop=stop,
                progress=progress,
            )
            run.generator = _with_fate(run)
            if run.generator.server_gone is not None:
                gone = run.generator.server_gone
                ended = f"{side.name} {absence(gone)} in round {number + 1}: {gone}"
                break
    except BaseException:
        if done[0]:
            keep(_comparison((a, b), done, rounds, "the comparison was cut short"))
        raise
    found = _comparison((a, b), done, rounds, ended)
    keep(found)
    return found


def _with_fate(run: LoadResult) -> GeneratorHealth:
    """A round may be over before a load is given up; one without a single connection tells as much."""
    health, outcomes = run.generator, {r.outcome for r in run.everything}
    if health.server_gone is not None or outcomes != {REFUSED}:
        return health
    return msgspec.structs.replace(
        health, server_gone=f"no connection could be made ({run.everything[0].error})"
    )


def _turns(rounds: int) -> Iterator[tuple[int, int]]:
    """(round, side) in the order of running: each side begins every other round."""
    for number in range(rounds):
        first = number % 2
        yield number, first
        yield number, 1 - first


def _comparison(
    sides: tuple[Contender, Contender],
    done: tuple[list[LoadResult], list[LoadResult]],
    rounds: int,
    ended: str | None,
) -> Comparison:
    # The rounds that the reference has had stay whole when it was the other side that ended it.
    by_a = any(run.generator.server_gone is not None for run in done[0])
    a = joined(sides[0].plan, done[0], ended)
    b = joined(sides[1].plan, done[1], None if by_a else ended)
    return Comparison(
        a=a,
        b=b,
        names=(sides[0].name, sides[1].name),
        servers=(sides[0].server, sides[1].server),
        rounds=min(map(len, done)),
        planned=rounds,
        ended=ended,
    )


def alike(plan: LoadPlan, model: LoadPlan) -> LoadPlan:
    """The same plan with another's seed and nonces."""
    return msgspec.structs.replace(plan, seed=model.seed, salt=model.salt)

"""A call of `llm_tasks` as runs of a test."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_llmserve.domain.errors import MarkerError, SetupError
from pytest_llmserve.domain.mix import TaskMix
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.load.prompt_sets import PromptSet
from pytest_llmserve.load.spec import overridden
from pytest_llmserve.measure.mix import Hear, Mix, mixed, run_mix, taken_by
from pytest_llmserve.measure.run import measured_run
from pytest_llmserve.measure.tasks import ready
from pytest_llmserve.plugin.aiming import aimed
from pytest_llmserve.plugin.requestlog import logged

if TYPE_CHECKING:
    from pytest_llmserve.plugin.testrun import OnProgress, TestRun

NAME = "llm_tasks"
USERS, REQUESTS = 8, 200


@dataclass(frozen=True)
class MixCall:
    """The arguments of a call."""

    tasks: Sequence[object]
    keywords: Mapping[str, Any]
    alone: object = True
    canaries: object = True
    aborts: object = None


def run_tasks(
    test: TestRun, call: MixCall, stop: threading.Event | None = None, on_progress: OnProgress | None = None
) -> TaskMix:
    """Run a mix of tasks; what ran at full concurrency is a run of the test, and the mix is judged with it.

    Raises:
        SetupError: a task, keyword or check is wrong.
        LlmServeError: a load came to nothing.
    """
    with test.in_vain("mix"):
        mix = _mix(test, call, on_progress)
        test.tell_before(mix.together)

        def together(plan: LoadPlan, asked: PromptSet, hear: Hear) -> LoadResult:
            def tell(now: LoadProgress) -> None:
                hear(now)
                if on_progress is not None:
                    on_progress(now)

            return test.run(plan, asked, stop, tell)

        def alone(plan: LoadPlan, asked: PromptSet) -> LoadResult:
            return _apart(test, plan, asked, stop, on_progress)

        found = run_mix(mix, test.state.open().endpoint.target, alone, together)
        test.mixes[len(test.runs) - 1] = found
        return found


def _mix(test: TestRun, call: MixCall, on_progress: OnProgress | None) -> Mix:
    faults = []
    try:
        plan = _plan(test, call.keywords, on_progress)
    except SetupError as error:
        faults.append(_told(error))
    try:
        tasks = ready(call.tasks)
    except SetupError as error:
        faults.append(_told(error))
    if faults:
        raise SetupError(f"{NAME}: {'; '.join(faults)}")
    endpoint = test.state.open().endpoint
    options = {"alone": call.alone, "canaries": call.canaries, "aborts": call.aborts}
    try:
        mixed(plan, tasks, {}, streams=endpoint.target.stream, **options)  # before the server is asked
    except SetupError as error:
        raise SetupError(f"{NAME}: {error}") from None
    return mixed(plan, tasks, taken_by(endpoint), streams=endpoint.target.stream, **options)


def _told(error: SetupError) -> str:
    return "; ".join(error.faults) if isinstance(error, MarkerError) else str(error).removeprefix(f"{NAME}: ")


def _plan(test: TestRun, keywords: Mapping[str, Any], on_progress: OnProgress | None) -> LoadPlan:
    """The call's keywords over the marker's, those over our own."""
    given = overridden(test.wishes.load or {}, keywords)
    usual = {"users": USERS, "requests": REQUESTS}
    if "duration" in given:
        del usual["requests"]
    return test.plan(overridden(usual, given), on_progress, NAME)


def _apart(
    test: TestRun,
    plan: LoadPlan,
    asked: PromptSet,
    stop: threading.Event | None,
    on_progress: OnProgress | None,
) -> LoadResult:
    """A load beside the test's runs, which no marker judges."""
    kept: list[LoadResult] = []
    assert test.watch is not None
    with logged(test, asked, kept, "alone"), test.shown(plan, on_progress) as progress:
        return measured_run(
            aimed(test.state.open().endpoint, plan, asked),
            plan,
            asked,
            test.state.run_folder(),
            test.watch,
            kept.append,
            stop=stop,
            progress=progress,
            alarm=test.vigil.alarm(plan),
        )

"""What the fixtures hand to a test."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_llmserve.checks.comparison import Comparison
from pytest_llmserve.checks.lengths import LengthSweep
from pytest_llmserve.domain.errors import LlmServeError
from pytest_llmserve.domain.mix import TaskMix
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceSample, ResourceWindow
from pytest_llmserve.measure.compare import ROUNDS
from pytest_llmserve.plugin.ending import sigterm_interrupts
from pytest_llmserve.plugin.mixing import MixCall, run_tasks
from pytest_llmserve.plugin.sweeping import sweep
from pytest_llmserve.plugin.testrun import OnProgress, TestRun, told

if TYPE_CHECKING:
    from pytest_llmserve.plugin.state import State

_CUT_LIMIT_S = 5.0

T = TypeVar("T")


def current_test(state: State, fixture: str) -> TestRun:
    """The test that runs now; outside of one it fails and names the fixture."""
    test = state.current
    if test is None or not test.runs_now:
        pytest.fail(
            f"{fixture} works inside a test that names it among its arguments,"
            " not in another fixture's setup or teardown",
            pytrace=False,
        )
    return test


def _caller(state: State) -> str:
    """Where the test called a load: path and line, as of a marker."""
    frame = sys._getframe(2)
    path = os.path.relpath(frame.f_code.co_filename, state.config.invocation_params.dir)
    return f"{path}:{frame.f_lineno}"


class _Awaiting:
    """A face whose calls may be awaited: they then run in a thread."""

    _fixture = "llm_load"

    def __init__(self, state: State) -> None:
        self._state = state

    def _now(self, place: str, act: Callable[[TestRun], T]) -> T:
        test = current_test(self._state, self._fixture)
        try:
            return act(test)
        except LlmServeError as error:
            fault = told(error)
        pytest.fail(f"{place}: {fault}", pytrace=False)

    async def _awaited(self, place: str, act: Callable[[TestRun, threading.Event], T]) -> T:
        test = current_test(self._state, self._fixture)
        stop = threading.Event()
        task = asyncio.ensure_future(asyncio.to_thread(act, test, stop))
        try:
            with sigterm_interrupts():
                return await asyncio.shield(task)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([task], timeout=_CUT_LIMIT_S)
            raise
        except LlmServeError as error:
            fault = told(error)
        pytest.fail(f"{place}: {fault}", pytrace=False)


class LoadFace(_Awaiting):
    """The load generator. Several calls in a test are several runs; the markers judge each."""

    def __call__(
        self, prompts: object = None, *, on_progress: OnProgress | None = None, **keywords: Any
    ) -> LoadResult:
        """Run a load and wait for its end.

        Args:
            prompts: a text, a list of texts, or of chat message lists; by default a small mixed set.
            on_progress: called about twice a second with a `LoadProgress`; what it raises ends the load.
            keywords: those of the `load` marker; they win over the marker's.

        A wrong keyword or prompt fails the test with all faults at once. So does a load worker that
        died: the run is void, and the message says that it was not the server.
        """
        place = _caller(self._state)
        return self._now(place, lambda test: test.load(prompts, keywords, on_progress=on_progress))

    def arun(
        self, prompts: object = None, *, on_progress: OnProgress | None = None, **keywords: Any
    ) -> Coroutine[Any, Any, LoadResult]:
        """Do as a call does, from async code; cancelling it ends the load.

        `on_progress` is called from another thread.
        """
        place = _caller(self._state)
        return self._awaited(place, lambda test, stop: test.load(prompts, keywords, stop, on_progress))

    def compare(
        self,
        a: object,
        b: object,
        prompts: object = None,
        *,
        rounds: int = ROUNDS,
        on_progress: OnProgress | None = None,
        **keywords: Any,
    ) -> Comparison:
        """Run the same load on two sides by turns, a b b a a b b a ..., and hold them against each other.

        The rounds of `a` together are a run of the test, which all markers judge; `no_regression`
        judges it against those of `b`.

        Args:
            a: the side under test: a URL, `llm_endpoint`, or a dict of load keywords for `llm_endpoint`
                that only this side has, such as {"max_tokens": 64}.
            b: the reference, likewise.
            prompts: as of a call.
            rounds: how often each side is asked; an even number.
            on_progress: as of a call, for one round after the other.
            keywords: those of the `load` marker, for all rounds of a side together.

        Faults end the test as those of a call do; a server that cannot be used is named.
        """
        place = _caller(self._state)
        return self._now(
            place, lambda test: test.compare((a, b), prompts, keywords, rounds, on_progress=on_progress)
        )

    def acompare(
        self,
        a: object,
        b: object,
        prompts: object = None,
        *,
        rounds: int = ROUNDS,
        on_progress: OnProgress | None = None,
        **keywords: Any,
    ) -> Coroutine[Any, Any, Comparison]:
        """Do as `compare`, from async code; cancelling it ends the load."""
        place = _caller(self._state)
        return self._awaited(
            place, lambda test, stop: test.compare((a, b), prompts, keywords, rounds, stop, on_progress)
        )

    def sweep(
        self,
        lengths: Sequence[int],
        requests: int = 10,
        users: int = 1,
        *,
        unit: str = "chars",
        prompt: str | None = None,
        on_progress: OnProgress | None = None,
        **keywords: Any,
    ) -> LengthSweep:
        """Send prompts of several lengths by turns: latency against length, its cliff, and the limit.

        No marker judges these requests.

        Args:
            lengths: of the prompts, their marks and all.
            requests: of each length, all lengths in each round.
            users: at the same time.
            unit: of `lengths`: "chars", or "tokens", reckoned from what the server counts in two prompts.
            prompt: what each one begins with; plain English words fill it up.
            on_progress: as of a call.
            keywords: those of the `load` marker that say what a request is: max_tokens (16 by default where
                the API is known to take it), params, stream, nonce, seed, timeout, ...

        Faults end the test as those of a call do.
        """
        place = _caller(self._state)
        return self._now(
            place,
            lambda test: sweep(
                test, lengths, requests, users, unit, prompt, keywords, on_progress=on_progress
            ),
        )

    def asweep(
        self,
        lengths: Sequence[int],
        requests: int = 10,
        users: int = 1,
        *,
        unit: str = "chars",
        prompt: str | None = None,
        on_progress: OnProgress | None = None,
        **keywords: Any,
    ) -> Coroutine[Any, Any, LengthSweep]:
        """Do as `sweep`, from async code; cancelling it ends the load."""
        place = _caller(self._state)
        return self._awaited(
            place,
            lambda test, stop: sweep(
                test, lengths, requests, users, unit, prompt, keywords, stop, on_progress
            ),
        )


class TasksFace(_Awaiting):
    """Mixes of tasks; what ran at full concurrency is a run of the test, and the markers judge it."""

    _fixture = "llm_tasks"

    def __call__(
        self,
        *tasks: object,
        alone: bool | int = True,
        canaries: bool = True,
        aborts: float | None = None,
        on_progress: OnProgress | None = None,
        **keywords: Any,
    ) -> TaskMix:
        """Ask the first requests one after the other, then all of them at once, and check the answers.

        Args:
            tasks: `pytest_llmserve.Task`, one or more; they take turns.
            alone: False = nothing is asked alone before; a number = so many of each task, 20 by default.
            canaries: mix in a task whose right answer is the request's own mark.
            aborts: share of the requests beside which a client asks and leaves in the middle of the
                answer; a tenth by default where answers are streamed.
            on_progress: as of `llm_load`, for one load after the other.
            keywords: those of the `load` marker; they win over the marker's. 8 users and 200 requests
                by default.

        Faults end the test as those of `llm_load` do; so does a check that raises.
        """
        place = _caller(self._state)
        call = MixCall(tasks, keywords, alone, canaries, aborts)
        return self._now(place, lambda test: run_tasks(test, call, on_progress=on_progress))

    def arun(
        self,
        *tasks: object,
        alone: bool | int = True,
        canaries: bool = True,
        aborts: float | None = None,
        on_progress: OnProgress | None = None,
        **keywords: Any,
    ) -> Coroutine[Any, Any, TaskMix]:
        """Do as a call does, from async code; cancelling it ends the load.

        `on_progress` is called from another thread.
        """
        place = _caller(self._state)
        call = MixCall(tasks, keywords, alone, canaries, aborts)
        return self._awaited(place, lambda test, stop: run_tasks(test, call, stop, on_progress))


class ResourcesFace:
    """The sampler of the server's processes; runs through the whole test by itself."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def samples(self) -> tuple[ResourceSample, ...]:
        """All samples of this test so far."""
        return self.window().samples

    @property
    def missing(self) -> str | None:
        """Why there are no (or no more) samples, or None."""
        return self.window().missing

    def peak(self, figure: str) -> float | None:
        """The highest reading of a figure such as "rss_mb" in this test; None when there is none."""
        return self.window().peak(figure)

    def window(self) -> ResourceWindow:
        """The samples of this test so far."""
        return current_test(self._state, "llm_resources").window()

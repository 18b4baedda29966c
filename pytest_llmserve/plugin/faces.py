"""What the fixtures hand to a test."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmserve.domain.errors import LlmServeError
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceSample, ResourceWindow
from pytest_llmserve.plugin.testrun import OnProgress, TestRun, told

if TYPE_CHECKING:
    from pytest_llmserve.plugin.state import State

_CUT_LIMIT_S = 5.0


def _current(state: State, fixture: str) -> TestRun:
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


class LoadFace:
    """The load generator. Several calls in a test are several runs; the markers judge each."""

    def __init__(self, state: State) -> None:
        self._state = state

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
        test = _current(self._state, "llm_load")
        try:
            return test.load(prompts, keywords, on_progress=on_progress)
        except LlmServeError as error:
            fault = told(error)
        pytest.fail(f"{place}: {fault}", pytrace=False)

    def arun(
        self, prompts: object = None, *, on_progress: OnProgress | None = None, **keywords: Any
    ) -> Coroutine[Any, Any, LoadResult]:
        """Do as a call does, from async code; cancelling it ends the load.

        `on_progress` is called from another thread.
        """
        return self._arun(_caller(self._state), prompts, on_progress, keywords)

    async def _arun(
        self, place: str, prompts: object, on_progress: OnProgress | None, keywords: Mapping[str, Any]
    ) -> LoadResult:
        test = _current(self._state, "llm_load")
        stop = threading.Event()
        task = asyncio.ensure_future(asyncio.to_thread(test.load, prompts, keywords, stop, on_progress))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([task], timeout=_CUT_LIMIT_S)
            raise
        except LlmServeError as error:
            fault = told(error)
        pytest.fail(f"{place}: {fault}", pytrace=False)


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
        return _current(self._state, "llm_resources").window()

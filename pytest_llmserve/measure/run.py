"""One run: the load, and what the server's side looked like meanwhile."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from pytest_llmserve.domain.entry import Entry
from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import MemoryChange
from pytest_llmserve.domain.target import Target
from pytest_llmserve.load.engine import LoadRun, Progress
from pytest_llmserve.load.prompt_sets import PromptSet
from pytest_llmserve.measure.beside import Beside
from pytest_llmserve.measure.looks import Decided, Looks
from pytest_llmserve.measure.watch import MemoryWatch, Watch
from pytest_llmserve.stats import import_now

Keep = Callable[[LoadResult], None]
Alarm = Callable[[LoadProgress, LoadRun], object]


class Stopped(Exception):
    """The run was told to stop: from another thread, or by what `progress` raised, its cause."""


def measured_run(
    target: Target,
    plan: LoadPlan,
    prompts: PromptSet | Sequence[Entry],
    folder: Path,
    watch: Watch,
    keep: Keep,
    *,
    settle_ns: int | None = None,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
    decided: Decided | None = None,
    alarm: Alarm | None = None,
) -> LoadResult:
    """Run a load and keep its result, also when it is interrupted.

    Args:
        target: a server whose dialect is decided.
        plan: of the load.
        prompts: sent in the plan's order; of one task or of several.
        folder: private to the run.
        watch: of the server, already started.
        keep: takes the result; called exactly once unless the run is void.
        settle_ns: wait so long for memory to settle; None = memory is not judged.
        stop: set from another thread to end the run.
        progress: told how far the run is, about twice a second; what it raises ends the run.
        decided: asked now and then of all requests begun up to an instant; once True, the load drains.
        alarm: told the same, to look into the server where something is wrong; does not wait.

    Raises:
        GeneratorError: a worker died; nothing is kept, the run is void.
        Stopped: `stop` was set; what was measured has been kept.
        BaseException: what `progress` raised; what was measured has been kept.
    """
    memory = None if settle_ns is None else watch.memory()
    if decided is not None:
        import_now()
    started_ns = time.monotonic_ns()
    asked = prompts if isinstance(prompts, PromptSet) else PromptSet(prompts)
    with LoadRun(target, plan, asked.prompts, folder, tasks=asked.tasks, manners=asked.manners) as run:
        try:
            _begin(run, plan, watch, memory)
            tell, looks = _Tell(watch, run, progress, alarm), None if decided is None else Looks(run, decided)
            during = _During(plan, memory if plan.warm_up_ns else None, stop, tell, looks)
            run.wait(during)
            result = run.result()
            change = _settled(watch, memory, settle_ns, stop, during)
        except (KeyboardInterrupt, Stopped) as why:
            # A worker that does not answer loses what was measured, never the interrupt itself.
            with contextlib.suppress(GeneratorError):
                run.stop()
                keep(_with_server(run.result(), watch, started_ns, None))
            if why.__cause__ is not None:
                raise why.__cause__ from None
            raise
        keep(_with_server(result, watch, started_ns, change))
        return result


def _begin(run: LoadRun, plan: LoadPlan, watch: Watch, memory: MemoryWatch | None) -> None:
    """What the server holds before, then the load."""
    _read_before(watch, None if plan.warm_up_ns else memory)
    run.start()
    watch.pace(plan.duration_ns)
    watch.hurry()


class _During:
    """Called a few times a second while the load runs."""

    def __init__(
        self,
        plan: LoadPlan,
        memory: MemoryWatch | None,
        stop: threading.Event | None,
        tell: _Tell,
        looks: Looks | None,
    ) -> None:
        self._baseline_ns = time.monotonic_ns() + plan.warm_up_ns
        self._memory, self._stop = memory, stop
        self._tell, self._looks = tell, looks
        self._baseline: Beside | None = None

    def __call__(self, now: LoadProgress) -> None:
        if self._stop is not None and self._stop.is_set():
            raise Stopped
        if self._memory is not None and time.monotonic_ns() >= self._baseline_ns:
            self._baseline = Beside(self._memory.take_baseline, "baseline")
            self._memory = None
        self._tell(now)
        if self._looks is not None:
            self._looks.look()

    def baseline_read(self, sleep: Callable[[float], object]) -> None:
        """Wait until the baseline, where one was begun, is read."""
        if self._baseline is not None:
            self._baseline.wait(sleep)


class _Tell:
    """Tells how far the load is, each news once."""

    def __init__(self, watch: Watch, run: LoadRun, progress: Progress | None, alarm: Alarm | None) -> None:
        self._watch, self._run = watch, run
        self._progress, self._alarm = progress, alarm
        self._told: LoadProgress | None = None

    def __call__(self, now: LoadProgress) -> None:
        if now is self._told:
            return
        self._told = now
        if self._alarm is not None:
            self._alarm(now, self._run)
        if self._progress is None:
            return
        try:
            self._progress(msgspec.structs.replace(now, **self._watch.now()))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # pytest.fail() and pytest.skip() are no Exception
            raise Stopped from error


def _read_before(watch: Watch, memory: MemoryWatch | None) -> None:
    """Memory as it is before the load, and everything once."""
    if memory is not None:
        memory.take_baseline()
    watch.sample_now()


def _settled(
    watch: Watch,
    memory: MemoryWatch | None,
    settle_ns: int | None,
    stop: threading.Event | None,
    during: _During,
) -> MemoryChange | None:
    """Read everything once and wait for memory to settle. Raises Stopped when `stop` is set meanwhile."""
    if memory is None or settle_ns is None:
        return None
    watch.sample_now()

    def sleep(pause_s: float) -> None:
        if stop is None:
            time.sleep(pause_s)
        elif stop.wait(pause_s):
            raise Stopped

    during.baseline_read(sleep)
    return memory.change(settle_ns, sleep)


def _with_server(
    result: LoadResult, watch: Watch, started_ns: int, change: MemoryChange | None
) -> LoadResult:
    watch.sample_now()
    result.resources = watch.window(started_ns)
    result.memory = change
    return result

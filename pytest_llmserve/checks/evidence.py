"""What a test measured: the one input of every check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.mix import TaskMix
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceWindow


@dataclass(frozen=True)
class Evidence:
    """All runs of one test, and the server's samples through the whole test.

    Attributes:
        runs: in the order they ran, each with its own `memory` and `resources`.
        resources: from the first line of the test to the last.
        started_ns: monotonic clock, when the test began; None = with the first sample.
        no_run: why there are no runs, where there are none.
        death: a sentence, when the server's process ended by itself during the test; or None.
        baselines: what each run is compared with, or a clause that says why there is nothing; empty =
            nothing was named to compare with.
        log: what the server's log told through the whole test.
        mixes: of the runs that were a mix of tasks, by their place among `runs`.
        keep_text: what was asked and answered may be shown in what outlives the session.
        clean: takes secrets out of a text.
        environment, server: where the runs were measured, and of whom, as a `Measurement` has them.
    """

    runs: tuple[LoadResult, ...] = ()
    resources: ResourceWindow = field(default_factory=lambda: ResourceWindow(missing="not watched"))
    started_ns: int | None = None
    no_run: str = "no load ran in this test: call llm_load()"
    death: str | None = None
    baselines: tuple[Measurement | str, ...] = ()
    log: LogWindow = field(default_factory=lambda: LogWindow(missing="the server's log was not followed"))
    mixes: Mapping[int, TaskMix] = field(default_factory=dict)
    keep_text: bool = False
    clean: Callable[[str], str] = str
    environment: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)

    def label(self, index: int) -> str:
        """What a quantity is followed by when there are several runs: " (run 2 of 3)"."""
        return f" (run {index + 1} of {len(self.runs)})" if len(self.runs) > 1 else ""

"""Looks after a server in one test: whether it lives, what it does when it hangs, where its time goes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.recovery import Outage
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.domain.stacks import Profile, dump_lines
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure.alarms import marks_of
from pytest_llmserve.measure.liveness import Liveness
from pytest_llmserve.measure.looking import Looking, Taken
from pytest_llmserve.measure.opening import OpenServer
from pytest_llmserve.measure.run import Alarm
from pytest_llmserve.serve.profiling import Recording

_LONGEST_NS = 24 * 3600 * NS_PER_S
_INTERRUPTED_S = 1.0
"""After Ctrl-C a graph may take so long to be written."""


class Vigil:
    """One test long. Mutable.

    Args:
        opened: the server; None = the test asked for none.
        limits: on latency, as `checks.latency.Latency.limits` gives them.

    Attributes:
        outages: when the test waited for the server to come back.
    """

    def __init__(self, opened: OpenServer | None, limits: Iterable[tuple[str, str, float]] = ()) -> None:
        self.liveness = Liveness(opened)
        self.outages: list[Outage] = []
        server = None if opened is None else opened.server
        why = "no fixture asked for the server" if opened is None else opened.why
        self._looking = Looking(
            None if server is None else server.pids,
            why,
            marks_of(limits),
            "" if opened is None else opened.name,
            {each.name: each.server.pids for each in self.liveness.followed[1:] if each.server is not None},
        )
        self._started_ns = time.monotonic_ns()

    def alarm(self, plan: LoadPlan) -> Alarm:
        """What is to be told how far a load of that plan is."""
        return lambda now, run: self._looking.look(now, plan, run.over)

    @contextmanager
    def profiled(self, runs: Sequence[LoadResult], plan: LoadPlan, file: Path | None) -> Iterator[None]:
        """A load runs meanwhile. Record a flame graph, and tell it in the run that was added to `runs`.

        Args:
            runs: of the test so far.
            plan: of the load.
            file: to write; None = do nothing.
        """
        self.liveness.begin_load()
        pid, why = self.liveness.main_pid()
        if file is None:
            yield
            return
        before, recording = len(runs), None
        if pid is not None:
            limit_s = (plan.deadline_ns or _LONGEST_NS) / NS_PER_S
            recording = Recording(pid, file, limit_s)
            recording.start()
        patience: tuple[float, ...] = ()
        try:
            yield
        except KeyboardInterrupt:
            patience = (_INTERRUPTED_S,)
            raise
        finally:
            profile = Profile(missing=why) if recording is None else recording.stop(*patience)
            for run in runs[before:]:
                run.profile = profile

    def end(
        self, runs: Sequence[LoadResult], window: ResourceWindow, log: Mapping[str, int] | None = None
    ) -> str | None:
        """End all that goes on. Returns a sentence when it was not the same server to the end.

        Args: as of `Liveness.end`.
        """
        self.stop()
        fate = self.liveness.end(runs, window, log)
        return fate.sentence if fate is not None and fate.fatal else None

    @property
    def doubts(self) -> list[tuple[str, str]]:
        """(what, sentence) of what became of the server and fails no test: it is warned of."""
        fate = self.liveness.fate
        return [] if fate is None or fate.fatal or fate.mild else [("load", fate.sentence)]

    def stop(self, at_once: bool = False) -> None:
        """End all that goes on; at once where someone waits for the end of it all."""
        self._looking.end(at_once)

    @property
    def taken(self) -> Taken:
        """The stacks that were taken."""
        return self._looking.taken

    def stack_lines(self, report: str | None = None) -> list[str]:
        """The first dump that shows something, for the text of a failure, and where the others are.

        Args:
            report: the one that will have them; None = none was asked for.
        """
        taken = self.taken
        if not taken.dumps:
            return [] if taken.missing is None else [taken.missing]
        more = len(taken.dumps) - 1
        shown = next((dump for dump in taken.dumps if not dump.idle), taken.dumps[0])
        when = " later" if shown is taken.dumps[0] else ""
        others = f", and {more} more taken{when}" if more else ""
        rest = f"  every thread in full{others}: in the report, {report or '--llm-report=FILE.json'}"
        return [*dump_lines(shown, self._started_ns), rest]

    def document(self) -> dict[str, Any]:
        """For reports."""
        fate = self.liveness.fate
        return {
            "liveness": None if fate is None else fate.sentence,
            "stacks": [dump.as_json(self._started_ns) for dump in self.taken.dumps],
            "stacks_missing": self.taken.missing,
        }

"""One attempt at one test: its runs, what the server did meanwhile, and the verdicts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_llmserve.checks.comparison import Comparison
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.foresight import earliest, too_few
from pytest_llmserve.checks.judging import all_decided, judged
from pytest_llmserve.domain.errors import GeneratorError, LlmServeError, ProbeLost, SetupError
from pytest_llmserve.domain.mix import TaskMix
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.domain.survival import Survival
from pytest_llmserve.domain.verdict import UNDECIDED, Verdict
from pytest_llmserve.load.prompt_sets import PromptSet
from pytest_llmserve.load.spec import overridden
from pytest_llmserve.measure.compare import by_turns, check_rounds, with_a_request_a_round
from pytest_llmserve.measure.judged import watch_for
from pytest_llmserve.measure.probes import Watched
from pytest_llmserve.measure.run import measured_run
from pytest_llmserve.measure.vigil import Vigil
from pytest_llmserve.measure.watch import Watch
from pytest_llmserve.plugin.aiming import aimed
from pytest_llmserve.plugin.collected import Collected
from pytest_llmserve.plugin.comparing import contenders
from pytest_llmserve.plugin.diagnosed import diagnosed, is_diagnosed
from pytest_llmserve.plugin.ending import sigterm_interrupts
from pytest_llmserve.plugin.evidence import evidence_of
from pytest_llmserve.plugin.kept import DID_NOT_PASS, REGRESSION, compared, keep, unfit_outcome
from pytest_llmserve.plugin.keptrequests import with_shard
from pytest_llmserve.plugin.markers import wishes_of
from pytest_llmserve.plugin.options import repeat_command, value
from pytest_llmserve.plugin.planning import entries_of, planned
from pytest_llmserve.plugin.properties import with_figures
from pytest_llmserve.plugin.requestlog import logged, request_log
from pytest_llmserve.plugin.serverlog import TestLog
from pytest_llmserve.plugin.settings import profile_file
from pytest_llmserve.plugin.sweeping import ONLY_SWEPT, SWEEPS
from pytest_llmserve.plugin.testdocument import document_of, full_report
from pytest_llmserve.plugin.warned import AS_ERRORS, NOT_BEGUN, warned
from pytest_llmserve.reports.failure import failure_text

if TYPE_CHECKING:
    from pytest_llmserve.plugin.state import State

OnProgress = Callable[[LoadProgress], object]


def told(error: LlmServeError) -> str:
    """Why a load came to nothing; what is our own fault says so."""
    if isinstance(error, (GeneratorError, ProbeLost)):
        return f"this is pytest-llmserve's fault, not the server's: {error}"
    return str(error)


class TestRun:
    """Mutable; lives from a test's setup to its report.

    Attributes:
        noted: further keys of its document, such as "survival"; plain data.
        harmed: what became of the last input that was not survived.
        closing: what is to be ended with the test's own code.
        evidence: on which it was judged; None before.
        against: the same with what `no_regression` was judged against, where it was.
        shard: where its requests are kept for a .jsonl report, once they are.
    """

    __test__ = False

    def __init__(self, state: State, item: pytest.Item, attempt: int) -> None:
        self.state, self.item, self.attempt = state, item, attempt
        self.wishes = wishes_of(item)
        self.runs: list[LoadResult] = []
        self.verdicts: list[Verdict] = []
        self.watch: Watch | None = None
        self.log = TestLog(self.wishes.check("no_log_errors"))
        self.vigil = Vigil(None)
        self._window: ResourceWindow | None = None
        self._no_run: str | None = None
        self._told_before = self.said = False
        self._outcome: str | None = DID_NOT_PASS
        self.evidence: Evidence | None = None
        self.against: Evidence | None = None
        self.shard: dict[str, Any] | None = None
        self._server_then: dict[str, Any] = {}  # its teardown may have closed the endpoint
        self.compared: dict[int, Comparison] = {}
        self.mixes: dict[int, TaskMix] = {}
        self.not_judged: str | None = None
        self.noted: dict[str, Any] = {}
        self.harmed: Survival | None = None
        self.closing = ExitStack()

    def start(self) -> None:
        """The test's own code begins: watch the server."""
        opened = self.state.renewed()
        latency = self.wishes.check("latency")
        self.vigil = Vigil(opened, () if latency is None else latency.limits())
        watched = opened.watched if opened else Watched(why="no fixture asked for the server")
        self.watch = watch_for(watched, self.wishes.checks)
        self.watch.start()
        self.log.start(opened, self.watch.started_ns)

    @property
    def runs_now(self) -> bool:
        """The test's own code has begun and not ended."""
        return self.watch is not None and self._window is None

    def load(
        self,
        prompts: object,
        keywords: Mapping[str, Any],
        stop: threading.Event | None = None,
        on_progress: OnProgress | None = None,
    ) -> LoadResult:
        """Run a load: the marker's keywords, those of the call over them.

        Raises:
            SetupError: a keyword, prompt or trace is wrong.
            LlmServeError: the load came to nothing.
        """
        with self.in_vain("load"):
            plan, entries = self.plan(keywords, on_progress), entries_of(prompts, self.state.config)
            self.tell_before(plan)
            return self.run(plan, entries, stop, on_progress)

    @contextmanager
    def in_vain(self, what: str) -> Iterator[None]:
        """Should what is done here come to nothing, the checks say why there is no run."""
        try:
            yield
        except LlmServeError as error:
            self._no_run = f"the {what} came to nothing: {told(error)}"
            raise

    def run(
        self, plan: LoadPlan, asked: PromptSet, stop: threading.Event | None, on_progress: OnProgress | None
    ) -> LoadResult:
        """Run a load as it is planned, as a run of the test."""
        assert self.watch is not None
        plan = asked.told(plan)
        leak = self.wishes.check("no_leak")
        file = profile_file(self.state.config, self.item.nodeid, len(self.runs) + 1)
        profiled = self.vigil.profiled(self.runs, plan, file)
        written = logged(self, asked, self.runs, str(len(self.runs) + 1))
        with written, self.shown(plan, on_progress) as progress, profiled:
            return measured_run(
                aimed(self.state.open().endpoint, plan, asked),
                plan,
                asked,
                self.state.run_folder(),
                self.watch,
                self.runs.append,
                settle_ns=leak.settle if leak is not None else None,
                stop=stop,
                progress=progress,
                decided=self._decided if plan.until is not None else None,
                alarm=self.vigil.alarm(plan),
            )

    def compare(
        self,
        sides: tuple[object, object],
        prompts: object,
        keywords: Mapping[str, Any],
        rounds: object,
        stop: threading.Event | None = None,
        on_progress: OnProgress | None = None,
    ) -> Comparison:
        """Run a load on two sides by turns; the rounds of the first one are a run of the test.

        Raises:
            SetupError: a side, keyword or prompt is wrong.
            LlmServeError: the load came to nothing.
        """

        def plan_of(own: Mapping[str, Any]) -> LoadPlan:
            return entries.told(with_a_request_a_round(self.plan(overridden(keywords, own), on_progress)))

        def keep(found: Comparison) -> None:
            self.compared[len(self.runs)] = found
            self.runs.append(found.a)

        with self.in_vain("comparison"):
            entries = entries_of(prompts, self.state.config)
            number = check_rounds(plan_of({}), rounds)
            with contenders(self, sides, plan_of) as (a, b):
                self.tell_before(a.plan)
                aimed(self.state.open().endpoint, a.plan, entries)
                with self.shown(a.plan, on_progress) as progress:
                    folder = self.state.run_folder
                    return by_turns(a, b, entries, number, folder, keep, stop=stop, progress=progress)

    def plan(
        self, keywords: Mapping[str, Any], on_progress: OnProgress | None, call: str = "llm_load"
    ) -> LoadPlan:
        """The plan of a run: the marker's keywords, those of the call over them. Raises SetupError."""
        if on_progress is not None and not callable(on_progress):
            raise SetupError(
                f"{call}: on_progress={on_progress!r} cannot be called:"
                " give a function of one argument, a LoadProgress"
            )
        return planned(self.state.config, self.wishes, keywords, call)

    def _decided(self, so_far: LoadResult) -> bool:
        """A run that goes on, judged by itself."""
        return all_decided(self.wishes.checks, Evidence(runs=(so_far,)))

    def tell_before(self, plan: LoadPlan) -> None:
        """Say what is known of the verdicts before, once a test; warn of limits that stay undecided at best.

        Raises:
            SetupError: the user's filters make an error of the warning.
        """
        text = too_few(plan, self.wishes.checks)
        said = text or earliest(plan, self.wishes.checks)
        if not said or self._told_before:
            return
        self._told_before = True
        terminal = self.state.terminal()
        if terminal is not None:
            terminal.tell(f"llmserve: {said}")
        if text and not warned(self.item, "load", text):
            raise SetupError(f"{text}; {NOT_BEGUN}")

    @contextmanager
    def shown(self, plan: LoadPlan, on_progress: OnProgress | None) -> Iterator[OnProgress]:
        """Who is told how far the run is: the terminal first, then the test's own function."""
        terminal = self.state.terminal()
        shown = nullcontext() if terminal is None else terminal.line(plan)
        with sigterm_interrupts(), shown as line:

            def tell(now: LoadProgress) -> None:
                if line is not None:
                    line.show(now)
                if on_progress is not None:
                    on_progress(now)

            yield tell

    def window(self) -> ResourceWindow:
        """The server's samples through this test so far."""
        if self._window is not None:
            return self._window
        return self.watch.window() if self.watch is not None else ResourceWindow(missing="not watched yet")

    def finish(self) -> str | None:
        """End watching and judge; return the text of the failure, or None."""
        self._stop_watching()
        gone = self.vigil.end(self.runs, self.window(), self.log.window().counts)
        self._server_then = self.state.opened.document if self.state.opened is not None else {}
        no_run = self._no_run or (ONLY_SWEPT if SWEEPS in self.noted else None)
        self.evidence = evidence = evidence_of(self, gone, self._server_then, no_run)
        self.verdicts = self._judged(evidence)
        there = self.item.user_properties
        there[:] = with_figures(there, self.runs, self.verdicts, self.window())
        strict = bool(value(self.state.config, "--llm-strict"))
        if gone is None and not any(verdict.fails(strict) for verdict in self.verdicts):
            return None
        return self._failure_text("--llm-strict" if strict else None)

    def warn_undecided(self) -> str | None:
        """Warn of each limit that is undecided in a test that passes, and of what befell the server.

        Returns the text of a failure where the user's filters make errors of these warnings.
        """
        doubts = [(each.check, each.sentence) for each in self.verdicts if each.verdict == UNDECIDED]
        told = [warned(self.item, of, self.redacted(said)) for of, said in (*doubts, *self.vigil.doubts)]
        return None if all(told) else self._failure_text(AS_ERRORS)

    def _failure_text(self, strict: str | None) -> str:
        runs, window, asked = self.runs, self.window(), request_log(self.state.config)
        text = failure_text(
            self.verdicts,
            runs,
            window,
            repeat_command(self.state.config, self.item.nodeid),
            strict,
            self.log.bare(self.vigil.liveness.last_words(), runs),
            diagnosis=diagnosed(self),
            log=self.log.told(runs),
            stacks=self.vigil.stack_lines(full_report(self.state.config)),
            request_log=None if asked is None else str(asked),
        )
        return self.redacted(text)

    def _judged(self, evidence: Evidence) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for check in self.wishes.checks:
            against = evidence if check.name != REGRESSION else self._compared(evidence)
            verdicts += [] if against is None else judged([check], against)
        return verdicts

    def _compared(self, evidence: Evidence) -> Evidence | None:
        """The runs that have something to be compared with, and that; None when nothing was asked for."""
        references = {place: comparison.reference for place, comparison in self.compared.items()}
        config, in_vain = self.state.config, self._no_run is not None
        self.against, self.not_judged = compared(config, self.item.nodeid, evidence, references, in_vain)
        return self.against

    def keep_runs(self, report: pytest.TestReport) -> None:
        """--llm-save: keep the runs once the test has passed for certain; told with the last report."""
        if report.when == "call":
            self._outcome = unfit_outcome(report)
        runs = [run for place, run in enumerate(self.runs) if place not in self.compared]
        if report.when == "teardown" and self.runs:
            unfit = self._outcome or unfit_outcome(report)
            kept = keep(self.state.config, self.item.nodeid, runs, unfit, self._server_then, self.redacted)
            report._llmserve_kept = kept  # type: ignore[attr-defined]

    def abandon(self) -> None:
        """Ctrl-C: nothing is judged; what was measured is told in the summary."""
        self._stop_watching()
        self.vigil.stop(at_once=True)
        Collected.of(self.state.config).keep(with_shard(self, document_of(self)) | {"outcome": "interrupted"})

    def _stop_watching(self) -> None:
        self.closing.close()
        if self.watch is None or self._window is not None:
            return
        self.log.stop()
        self.watch.last_sample(getattr(self.wishes.check("resources"), "cpu_percent", None) is not None)
        try:
            self.watch.stop()
            self._window = self.watch.window()
        except ProbeLost as lost:
            self._window = msgspec.structs.replace(self.watch.window(), missing=str(lost))

    def redacted(self, text: str) -> str:
        """The text without the secrets that are sent to the server."""
        return text if self.state.opened is None else self.state.opened.endpoint.redact(text)

    def attach(self, report: pytest.TestReport) -> None:
        """Put the document on pytest's report; plain data that travels with it."""
        found = diagnosed(self) if is_diagnosed(report) else []
        document = document_of(self) | {"diagnosis": [short.as_json() for short in found]}
        report._llmserve = with_shard(self, document)  # type: ignore[attr-defined]

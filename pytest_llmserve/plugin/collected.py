"""What the tests of the session found, where their reports come together."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_llmserve.plugin.options import NO_ENDPOINT, value

_RUN_NOTHING = (
    *("collectonly", "setuponly", "setupplan"),
    *("showfixtures", "show_fixtures_per_test", "cacheshow"),
)
"""Options of pytest under which a session begins and ends without a test."""


class Collected:
    """A plugin of its own, one a session. Under xdist the controller's has all tests."""

    NAME = "llmserve-collected"

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._began_s = time.time()
        self._tests: list[dict[str, Any]] = []
        self._serverless = 0
        self._unwritten: dict[str, str] = {}
        self._ran = self._ours = False
        self._warnings: list[str] = []

    @classmethod
    def of(cls, config: pytest.Config) -> Collected:
        """The session's."""
        found = config.pluginmanager.get_plugin(cls.NAME)
        assert isinstance(found, cls)
        return found

    def keep(self, document: dict[str, Any]) -> None:
        """Keep the document of one attempt."""
        self._tests.append(document)

    def pytest_runtest_logstart(self) -> None:
        """A test begins."""
        self._ran = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what came along with a report."""
        document = getattr(report, "_llmserve", None)
        if document is not None:
            times = {} if "started_at" in document else _times(report)
            self.keep(document | times | {"outcome": _outcome(report)})
        elif report.skipped and NO_ENDPOINT in str(report.longrepr):
            self._serverless += 1
        kept = getattr(report, "_llmserve_kept", None)
        if kept is not None:
            self._take_kept(report.nodeid, kept)

    def _take_kept(self, nodeid: str, kept: dict[str, Any]) -> None:
        """What became of --llm-save belongs to the attempt that was reported last."""
        mine = (test for test in reversed(self._tests) if test["nodeid"] == nodeid)
        for test in mine:
            test["kept"] = kept
            break
        if kept["fault"] is not None:
            self._unwritten[kept["fault"]] = f"ERROR: {kept['fault']}"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Write the llmserve section; nothing when no test of ours ran."""
        paths = self._asked_for()
        if not self._tests and not paths:
            return
        from pytest_llmserve.plugin.testdocument import full_report
        from pytest_llmserve.reports.terminal import summary_lines

        terminalreporter.section("llmserve")
        lines = summary_lines(
            self._tests,
            width=terminalreporter._tw.fullwidth,
            colour=terminalreporter.hasmarkup,
            verbosity=self._config.get_verbosity(),
            told=self._failures_are_told(),
            wrap=terminalreporter.isatty,
            **({} if (found := full_report(self._config)) is None else {"stacks": f"they are in {found}"}),
        )
        for line in [*lines, *(f"report: {path}" for path in paths if path not in self._unwritten)]:
            terminalreporter.write_line(line)
        while self._warnings:
            terminalreporter.write_line(self._warnings.pop(0), yellow=True)
        for fault in self._faults():
            terminalreporter.write_line(fault, red=True)

    def _failures_are_told(self) -> bool:
        """Whether FAILURES has the whole text of each, and what is known of the server beside it."""
        asked = self._config.option
        return asked.tbstyle not in {"no", "line"} and asked.showcapture == "all"

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports, before the summary that names them.

        One that cannot be written makes a green session a usage error, and hides nothing else; a fault of
        our own in one makes it an internal error, and hides no other report.
        """
        if not hasattr(self._config, "workerinput") and (self._tests or self._asked_for()):
            self._write()
        if self._unwritten and session.exitstatus == pytest.ExitCode.OK:
            fault = pytest.ExitCode.INTERNAL_ERROR if self._ours else pytest.ExitCode.USAGE_ERROR
            session.exitstatus = fault

    def pytest_unconfigure(self) -> None:
        """Without a summary, stderr has what it would have told."""
        for shard in self._shards():
            shard.unlink(missing_ok=True)
        for fault in self._faults():
            sys.stderr.write(f"{fault}\n")

    def environment(self) -> dict[str, Any]:
        """Where, with what, and since when the session measures."""
        from pytest_llmserve.reports.environment import environment, moment

        return environment() | {"started_at": moment(self._began_s)}

    def _asked_for(self) -> list[str]:
        """The reports, but of a session that ran no test: the report of one that did stays."""
        if not self._ran or any(self._config.getoption(name, None) for name in _RUN_NOTHING):
            return []
        return value(self._config, "--llm-report") or []

    def _shards(self) -> list[Path]:
        if not value(self._config, "--llm-report"):
            return []
        from pytest_llmserve.plugin.shards import shards_left

        return shards_left(self._config)

    def _faults(self) -> list[str]:
        """What is still to be told, once."""
        faults = [*self._warnings, *self._unwritten.values()]
        self._warnings.clear()
        self._unwritten.clear()
        return faults

    def _write(self) -> None:
        """Write every file that was asked for, and what CI shows; keep why one could not be written."""
        from importlib import import_module

        from pytest_llmserve.plugin.junit import tell_suite
        from pytest_llmserve.plugin.reportpaths import broken, report_paths, unwritten
        from pytest_llmserve.plugin.stepsummary import append_summary
        from pytest_llmserve.reports import REPORTS
        from pytest_llmserve.reports.document import SCHEMA
        from pytest_llmserve.reports.jsonl_file import ORPHANS, whole_shards
        from pytest_llmserve.reports.private import SERVERLESS
        from pytest_llmserve.reports.side_by_side import comparisons

        document: dict[str, Any] = {
            "schema": SCHEMA,
            "environment": self.environment(),
            "tests": self._tests,
            SERVERLESS: self._serverless,
        }
        if found := comparisons(self._tests):
            document["comparisons"] = found
        document[ORPHANS] = [str(shard) for shard in whole_shards(self._shards())]
        for name, path in report_paths(self._config).items():
            module, _, function = REPORTS[path.suffix].partition(":")
            try:
                getattr(import_module(module), function)(document, path)
            except OSError as error:
                self._unwritten[name] = unwritten(path, error)
            except Exception as error:
                self._unwritten[name], self._ours = broken(path, error), True
        tell_suite(self._config, document)
        if warning := append_summary(self._config, document):
            self._warnings.append(warning)


def _times(report: pytest.TestReport) -> dict[str, Any]:
    """When the phase began and how long it took; for a test whose own code did not begin."""
    from pytest_llmserve.reports.environment import moment

    return {"started_at": moment(report.start), "duration_s": round(report.duration, 3)}


def _outcome(report: pytest.TestReport) -> str:
    outcome = str(report.outcome)
    if hasattr(report, "wasxfail"):
        return "xfailed" if outcome == "skipped" else "xpassed"
    if report.when != "call" and outcome == "failed":
        return "error"
    return outcome

"""pytest-benchmark: the latencies of each run as benchmarks, described in docs/benchmark.md.

It has no way to hand in what was measured elsewhere, so its session's list is written to. Whether this
version takes that is tried at the start, on a value of no meaning.
"""

from __future__ import annotations

from collections.abc import Generator
from importlib.metadata import version
from typing import Any

import pytest

from pytest_llmserve.domain.errors import LlmServeWarning
from pytest_llmserve.plugin.keys import LOADS, STATE
from pytest_llmserve.plugin.options import has_server, named_server, value

GROUP = "llmserve:"
SESSION = "pytest-benchmark"
XDIST = (
    "pytest-benchmark is off beside xdist: it is not handed the latencies of load tests; run them without -n"
)
UNKNOWN = (
    "pytest-benchmark {version} is not handed the latencies of load tests, as this version of it cannot be"
    " told them ({why}); install one that is known to: pip install 'pytest-benchmark==5.3.1'"
)
_SAVED = ("benchmark_json", "benchmark_save", "benchmark_autosave")
_COMPARED = ("benchmark_compare", "benchmark_compare_fail")
FAIL = "ERROR: --benchmark-compare-fail: "
LEFT_OUT = FAIL + "runs named above were not compared, so whether they regressed is not known: measure again"
NO_NAMESAKE = FAIL + "nothing was compared: no benchmark of this session has a saved one of its name"


class Bridge:
    """Hands the runs of the last attempt at each test to pytest-benchmark, once the test has passed."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._session: Any = None
        self._ready: dict[str, list[Any]] = {}
        self._left_out: dict[str, list[str]] = {}
        self._incomplete: set[str] = set()
        """Tests that passed, with a run that is left out."""

    def pytest_sessionstart(self) -> None:
        """Find pytest-benchmark's session, and whether it can be told anything."""
        if hasattr(self._config, "workerinput") or not has_server(self._config):
            return
        if self._config.getoption("benchmark_skip") and not self._config.getoption("benchmark_only"):
            return
        session: Any = self._config.pluginmanager.get_plugin(SESSION)
        why = tried(session)
        if why is not None:
            self._warn(UNKNOWN.format(version=version("pytest-benchmark"), why=why))
        elif session.disabled:
            if self._config.getoption("dist", "no") != "no":
                self._warn(XDIST)
        else:
            self._session = session

    def _warn(self, text: str) -> None:
        try:
            self._config.issue_config_time_warning(LlmServeWarning(text), stacklevel=2)
        except LlmServeWarning:
            from pytest_llmserve.plugin.warned import AS_ERRORS

            raise pytest.UsageError(f"{text}; {AS_ERRORS}") from None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """With --benchmark-only load tests run: pytest-benchmark skips all without its own fixture."""
        if self._session is None or not self._session.only:
            return
        for item in items:
            if not LOADS.isdisjoint(getattr(item, "fixturenames", ())):
                item.own_markers[:] = [mark for mark in item.own_markers if not _is_their_skip(mark)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """The server as the options name it.

        Not as it was found: asked for before the first test too, to be compared with that of a saved run.
        """
        endpoints, serve = named_server(self._config)
        machine_info["llmserve"] = {
            "server": "started by --llm-serve" if serve else " ".join(endpoints),
            "model": value(self._config, "--llm-model"),
            "api": value(self._config, "--llm-api"),
        }

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_benchmark_scale_unit(
        self, unit: str, benchmarks: list[dict[str, Any]]
    ) -> tuple[str, float] | None:
        """Milliseconds for our groups: the smallest gap between tokens is 0, which would make them ns."""
        if unit != "seconds" or self._config.getoption("benchmark_time_unit", None):
            return None
        ours = all((each["group"] or "").startswith(GROUP) for each in benchmarks)
        return ("m", 1e3) if ours else None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Make them when the test's code has ended; hand them over when its teardown has."""
        report = yield
        state = item.config.stash.get(STATE, None)
        test = None if state is None else state.test_of(item)
        if self._session is None or test is None:
            return report
        from pytest_llmserve.plugin.kept import unfit_outcome

        unfit = unfit_outcome(report)
        if report.when == "setup":
            self._forget(item.nodeid)
            self._incomplete.discard(item.nodeid)
        if unfit is not None:
            self._incomplete.discard(item.nodeid)
            self._ready.pop(item.nodeid, None)
            self._left_out[item.nodeid] = [f"{item.nodeid}: {unfit}"] if test.runs else []
        elif report.when == "call":
            self._make(item, test)
        else:
            self._session.benchmarks += self._ready.pop(item.nodeid, [])
        return report

    def _forget(self, nodeid: str) -> None:
        """Of several attempts the last counts."""
        mine = f"{nodeid}::"
        kept = [each for each in self._session.benchmarks if getattr(each.fixture, "of", "") != mine]
        self._session.benchmarks[:] = kept

    def _make(self, item: pytest.Item, test: Any) -> None:
        from pytest_llmserve.plugin.benchmarked import benchmarks_of
        from pytest_llmserve.plugin.kept import unfit_run

        ready, left_out = [], []
        for number, run in enumerate(test.runs, 1):
            why = unfit_run(run)
            if why is not None:
                left_out.append(f"{item.nodeid}: {why if len(test.runs) == 1 else f'run {number}: {why}'}")
            else:
                ready += [made(each) for each in benchmarks_of(test, number, run)]
        self._ready[item.nodeid], self._left_out[item.nodeid] = ready, left_out
        if left_out:
            self._incomplete.add(item.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """What was compared with nothing has not passed: pytest-benchmark would say nothing of it."""
        if self._not_compared() is not None and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _not_compared(self) -> str | None:
        """Why --benchmark-compare-fail cannot be true of this session, or None."""
        if self._session is None or not self._config.getoption("benchmark_compare_fail"):
            return None
        if self._incomplete:
            return LEFT_OUT
        if compared_with_nothing(self._session):
            return NO_NAMESAKE
        return None

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what a file or a comparison lacks, and which comparison is none."""
        told = [line for lines in self._left_out.values() for line in lines]
        lacking = [
            word
            for word, options in (("saved", _SAVED), ("compared", _COMPARED))
            if any(self._config.getoption(option) for option in options)
        ]
        fault = self._not_compared()
        if lacking and (told or fault):
            terminalreporter.section(f"llmserve: not {' or '.join(lacking)} by pytest-benchmark")
            for line in told:
                terminalreporter.write_line(line)
            if fault:
                terminalreporter.write_line(fault, red=True)
        unlike = [] if self._session is None else unlike_lines(self._session)
        if unlike:
            terminalreporter.section("llmserve: compared by pytest-benchmark under another load")
            for line in unlike:
                terminalreporter.write_line(line)


def unlike_lines(session: Any) -> list[str]:
    """A line for each benchmark that was saved under another load: pytest-benchmark goes by names alone.

    Args:
        session: pytest-benchmark's, with what it compares with: by file, by name.
    """
    told = []
    for path, saved in (session.compared_mapping or {}).items():
        for each in session.benchmarks:
            before = saved.get(each.fullname, {}).get("extra_info", {}).get("plan")
            now = each.extra_info.get("plan")
            if before is not None and now not in (None, before):
                told.append(f"{each.fullname}: {now}; {before} in {path}")
    return told


def compared_with_nothing(session: Any) -> bool:
    """There are saved benchmarks and benchmarks, and not one name is in both.

    Args:
        session: pytest-benchmark's; without any saved ones it ends with a fault of its own.
    """
    saved = [name for names in (session.compared_mapping or {}).values() for name in names]
    names = {each.fullname for each in session.benchmarks if each}
    return bool(session.compared_mapping and names and names.isdisjoint(saved))


def _is_their_skip(mark: pytest.Mark) -> bool:
    return mark.name == "skip" and "--benchmark-only" in mark.kwargs.get("reason", "")


def made(figures: Any) -> Any:
    """pytest-benchmark's own record of one benchmark, a `Benchmark` of ours."""
    from pytest_benchmark.stats import Metadata

    untyped: Any = Metadata
    record = untyped(figures, iterations=1, options={})
    for value_s in figures.values_s:
        record.update(value_s)
    vars(record.stats).update(figures.whole)  # its figures are computed when asked for, and kept there
    return record


def tried(session: Any) -> str | None:
    """Why this version cannot be told anything, or None.

    Args:
        session: pytest-benchmark's, None where there is none of its name.
    """
    from pytest_llmserve.plugin.benchmarked import Benchmark

    try:
        session.benchmarks += []
        session.disabled, session.only, session.compared_mapping  # noqa: B018
        record = made(
            Benchmark(of="", name="", fullname="", group="", values_s=[0.25, 0.75], whole={"max": 2.0})
        )
        stats = record.as_dict(include_data=True)["stats"]
        if (stats["data"], stats["mean"], stats["max"]) == ([0.25, 0.75], 0.5, 2.0):
            return None
        return "its figures are not those it was told"
    except (ImportError, AttributeError, TypeError, KeyError) as error:
        return f"{type(error).__name__}: {error}"

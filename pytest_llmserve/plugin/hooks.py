"""The hooks. Each asks first, cheaply, whether the test is one of ours."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmserve.plugin.collected import Collected
from pytest_llmserve.plugin.deadline import lift_deadline
from pytest_llmserve.plugin.keys import LOADS
from pytest_llmserve.plugin.neighbours import register_neighbours
from pytest_llmserve.plugin.options import (
    add_options,
    given_here,
    has_server,
    is_https,
    named_server,
    require_server,
    value,
)
from pytest_llmserve.plugin.served import Served

if TYPE_CHECKING:
    from pytest_llmserve.plugin.state import State

FIXTURES = frozenset({"llm_endpoint", "llm_load", "llm_resources", "llm_server", "llm_tasks"})
MARKERS = (
    *("load", "latency", "throughput", "goodput", "error_rate", "no_leak"),
    *("no_degradation", "no_regression", "resources", "no_log_errors", "isolation"),
)


WARNING = "pytest_llmserve.LlmServeWarning"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; check at the start what would else fail at the end."""
    for name in MARKERS:
        config.addinivalue_line("markers", _marker_line(config, name))
    register_neighbours(config)
    config.pluginmanager.register(Collected(config), Collected.NAME)
    if has_server(config):
        config.pluginmanager.register(Served(FIXTURES), Served.NAME)
    if has_server(config) and not any(WARNING in line for line in config.getini("filterwarnings")):
        # A project that makes errors of all warnings has not meant: fail where no limit was broken.
        config.addinivalue_line("filterwarnings", f"default::{WARNING}")
    if has_server(config) or given_here(config) or value(config, "--llm-report"):
        from pytest_llmserve.plugin.settings import check_options

        check_options(config)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Explain the server in place of running tests, where that is asked for."""
    if not config.getoption("llm_explain"):
        return None
    from pytest_llmserve.plugin.explaining import explain_server

    config._do_configure()
    try:
        return explain_server(config, _state(config).folder)
    finally:
        config._ensure_unconfigure()


def _marker_line(config: pytest.Config, name: str) -> str:
    if not config.getoption("markers", False):
        return f"{name}(...): pytest-llmserve"
    from pytest_llmserve.plugin.markers import marker_line

    return marker_line(name)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """One line, when a server is named, and one for each of --llm-save and --llm-compare."""
    if not has_server(config):
        return []
    from pytest_llmserve.domain.trust import NOT_CHECKED

    endpoints, serve = named_server(config)
    named = " at ".join(filter(None, (serve, ", ".join(endpoints))))
    unchecked = f", {NOT_CHECKED}" if is_https(config) and value(config, "--llm-insecure") else ""
    lines = [f"llmserve: {named}, api {value(config, '--llm-api')}{unchecked}"]
    if value(config, "--llm-save") or value(config, "--llm-compare"):
        from pytest_llmserve.plugin.kept import header_lines

        lines += header_lines(config)
    return lines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Read the markers of all tests, and the values of their servers; all faults are told at once."""
    marked = [item for item in items if any(mark.name in MARKERS for mark in item.iter_markers())]
    faults: dict[str, list[str]] = {}
    if marked:
        from pytest_llmserve.plugin.markers import read_markers

        faults["markers of pytest-llmserve that cannot be used:"] = read_markers(marked)
    if has_server(config):
        from pytest_llmserve.plugin.given import HEADING, faults_of

        wanting = [item for item in items if not FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))]
        faults[HEADING] = faults_of(config, items, wanting)
    lines = [line for heading, told in faults.items() if told for line in (heading, *told)]
    if lines and hasattr(config, "workerinput"):
        _report_faults(config, items, [fault for told in faults.values() for fault in told])
    elif lines:
        raise pytest.UsageError("\n".join(lines))


def _report_faults(config: pytest.Config, items: list[pytest.Item], faults: list[str]) -> None:
    """An xdist worker cannot end the session with a usage error: it reports errors of collection."""
    items.clear()
    for fault in faults:
        report = pytest.CollectReport(fault.partition(": ")[0], "failed", fault, [])
        config.hook.pytest_collectreport(report=report)


def _is_ours(item: pytest.Item) -> bool:
    if not FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
        return True
    if not any(mark.name in MARKERS for mark in item.iter_markers()):
        return False
    from pytest_llmserve.plugin.markers import wishes_of

    return wishes_of(item).active


def _state(config: pytest.Config) -> State:
    from pytest_llmserve.plugin.state import state_of

    return state_of(config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Beside other xdist workers, a load test has the server for itself."""
    if not hasattr(item.config, "workerinput") or not _is_ours(item):
        return (yield)
    with _state(item.config).turn(alone=not LOADS.isdisjoint(getattr(item, "fixturenames", ()))):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or refuse, tests that have no server."""
    if not _is_ours(item):
        return
    require_server(item.config)
    _skip_unless_served(item)
    lift_deadline(item)
    _state(item.config).begin_test(item)


def _skip_unless_served(item: pytest.Item) -> None:
    if Served.ARGUMENT in getattr(item, "fixturenames", ()):
        from pytest_llmserve.plugin.given import not_served

        why = not_served(item.config, item)
        if why is not None:
            pytest.skip(why)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Watch the server through the test, then judge, in the call phase: xfail and reruns see it."""
    test = _state(item.config).test_of(item) if _is_ours(item) else None
    if test is None:
        return (yield)
    test.start()
    try:
        result = yield
    except KeyboardInterrupt:
        test.abandon()
        raise
    except BaseException:
        test.finish()
        raise
    message = test.finish() or test.warn_undecided()
    if message is not None:
        test.said = True
        pytest.fail(message, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send what was measured along with the report, so that it reaches the xdist controller."""
    report = yield
    if (call.when == "call" or report.failed) and _is_ours(item) and has_server(item.config):
        test = _state(item.config).test_of(item)
        if test is not None:
            from pytest_llmserve.plugin.beside import note_raised, show_beside

            note_raised(report, test, call.excinfo)
            test.attach(report)
            show_beside(report, test, call.excinfo)
    if value(item.config, "--llm-save") and _is_ours(item) and has_server(item.config):
        test = _state(item.config).test_of(item)
        if test is not None:
            test.keep_runs(report)
    return report


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End the server and remove the session's folder."""
    from pytest_llmserve.plugin.keys import STATE

    state = config.stash.get(STATE, None)
    if state is not None:
        state.close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: all workers share one folder, and so one server."""
    if has_server(node.config):
        node.workerinput["llmserve_folder"] = str(_state(node.config).folder)

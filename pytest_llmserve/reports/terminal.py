"""The section at the end of a test session, made from the documents of its tests."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_llmserve.domain.trust import NOT_CHECKED
from pytest_llmserve.reports import side_by_side
from pytest_llmserve.reports.diagnoses import Shared, alone, shared
from pytest_llmserve.reports.figures import held_up_text
from pytest_llmserve.reports.itself import error_text, is_undecided, why_it_fails
from pytest_llmserve.reports.server_text import server_lines
from pytest_llmserve.reports.tables import figure_text, print_rows
from pytest_llmserve.reports.terminal_run import print_plain, print_run, print_sweep
from pytest_llmserve.reports.wrapping import wrapped

_COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow"}
_FAILED = ("failed", "error")
_AS_MEANT = ("passed", "xfailed", "skipped")
_LEAST_WIDTH = 60


_STACKS = "_stacks_in"
"""Of a test: where its stacks are to be read."""


def summary_lines(
    tests: Sequence[Mapping[str, Any]],
    width: int,
    colour: bool,
    verbosity: int,
    told: bool = True,
    wrap: bool = False,
    stacks: str = "give --llm-report=FILE.json to have them",
) -> list[str]:
    """The lines to print.

    Args:
        tests: documents of tests.
        width: of the terminal; no table is wider, but for one of less than 60 columns.
        colour: with the escapes for it, and no other.
        verbosity: below 0 one line a test; from 1 on all in full, at 0 only what has no text of its own.
        told: the text of each failure stands above; what it says is not told again, but for the verdicts.
        wrap: lines are broken to fit the width; else they are as long as they are, to be searched and copied.
        stacks: where those that were taken are to be read, or how to have them.
    """
    tests = [{**test, _STACKS: stacks} if test.get("stacks") else test for test in tests]
    console = _console(width, colour)
    if any((test.get("server") or {}).get("tls") == NOT_CHECKED for test in tests):
        print_plain(console, f"{NOT_CHECKED} (--llm-insecure)", "yellow")
    for line in server_lines(tests) if verbosity >= 0 else ():
        print_plain(console, line)
    above = [test for test in tests if told and verbosity == 0 and test["outcome"] == "failed"]
    alike = (
        shared([test for test in tests if not any(test is one for one in above)]) if verbosity >= 0 else []
    )
    for test in grouped(tests) if verbosity <= 0 else tests:
        if any(test is one for one in above):
            _print_head(console, test)
            _print_findings(console, test, full=False, above=True)
        else:
            _print_test(console, test, verbosity, alike)
    for each in alike:
        _print_shared(console, each)
    for found in side_by_side.comparisons(tests):
        print_plain(console, f"{found['test']}: side by side", "bold")
        print_rows(console, side_by_side.HEADS, side_by_side.cells(found["rows"], figure_text))
    lines = _printed(console)
    return list(wrapped(lines, max(_LEAST_WIDTH, width))) if wrap else lines


def test_lines(test: Mapping[str, Any], width: int, alike: Sequence[Shared]) -> list[str]:
    """All of one test, without colour, but for what is told with other tests."""
    console = _console(width, colour=False)
    _print_test(console, test, verbosity=1, alike=alike)
    return _printed(console)


def _console(width: int, colour: bool) -> Any:
    from rich.console import Console

    return Console(
        file=io.StringIO(),
        width=max(_LEAST_WIDTH, width),
        force_terminal=colour,
        color_system="standard" if colour else None,  # the caller decides; rich would look at TERM again
        no_color=not colour,
        highlight=False,
    )


def _printed(console: Any) -> list[str]:
    return [line.rstrip() for line in console.file.getvalue().split("\n")[:-1]]


def _print_test(console: Any, test: Mapping[str, Any], verbosity: int, alike: Sequence[Shared] = ()) -> None:
    if "passed" in test:
        print_plain(console, "; ".join([f"{test['nodeid']}: {test['passed']} passed", *_survivals(test)]))
    elif verbosity < 0:
        print_plain(console, _head(test) + "; ".join([_short(test), *_survivals(test), *_said(test)]))
    else:
        _print_head(console, test)
        full = verbosity > 0 or test["outcome"] not in _AS_MEANT
        _print_findings(console, test, full, alike=alike)


def _head(test: Mapping[str, Any]) -> str:
    attempt = f" (attempt {test['attempt']})" if test["attempt"] > 1 else ""
    return f"{test['nodeid']}: {test['outcome']}{attempt}"


def _print_head(console: Any, test: Mapping[str, Any]) -> None:
    print_plain(console, _head(test), "bold red" if test["outcome"] in _FAILED else "bold")


def _print_shared(console: Any, found: Shared) -> None:
    print_plain(console, f"diagnosis: {found.what}: {found.remedy}")
    for figures, names in found.seen.items():
        print_plain(console, f"  {figures}: {', '.join(names)}")


def _print_findings(
    console: Any,
    test: Mapping[str, Any],
    full: bool,
    above: bool = False,
    alike: Sequence[Shared] = (),
) -> None:
    """Print what was found; `above` = the text of its failure stands there with the rest."""
    for run in test["runs"]:
        print_run(console, run, full, failed=above)
    for found in test.get("sweeps", ()):
        print_sweep(console, found)
    for verdict in test["verdicts"]:
        print_plain(console, f"  {verdict['verdict']}: {verdict['sentence']}", _COLOURS[verdict["verdict"]])
    for short in () if above else alone(test, alike):
        print_plain(console, f"  diagnosis: {short['what']}: {short['sentence']}")
    for line in _survivals(test):
        survived = test["survival"]["survived"] == test["survival"]["cases"]
        print_plain(console, f"  {line}", None if survived else "red")
    for line in _said({**test, "liveness": None} if above else test):
        print_plain(console, f"  {line}", "yellow")


def grouped(tests: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same, but for one row a function, with its number, for parametrized cases that passed.

    Cases with a run, a verdict, or anything to say stay as they are; so does one that is alone.
    """
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for test in tests:
        if _is_plain(test):
            alike.setdefault(_function(test["nodeid"]), []).append(test)
    rows: list[Mapping[str, Any]] = []
    for test in tests:
        cases = alike.get(_function(test["nodeid"]), []) if _is_plain(test) else []
        if len(cases) < 2:
            rows.append(test)
        elif cases[0] is test:
            rows.append(_together(cases))
    return rows


def _together(cases: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    row: dict[str, Any] = {
        "nodeid": _function(cases[0]["nodeid"]),
        "outcome": "passed",
        "attempt": 1,
        "passed": len(cases),
    }
    survivals = [case["survival"] for case in cases if "survival" in case]
    if survivals:
        names = ("cases", "survived", "restarts", "restart_s")
        row["survival"] = {name: sum(found[name] for found in survivals) for name in names}
    return row


def _function(nodeid: str) -> str:
    """Without the parameters, which may hold anything."""
    file, colons, rest = nodeid.partition("::")
    return file + colons + rest.partition("[")[0]


def _is_plain(test: Mapping[str, Any]) -> bool:
    """Of a parametrized test, passed at the first attempt, nothing to be told but its hostile inputs."""
    if test["nodeid"] == _function(test["nodeid"]):
        return False
    told = any(test.get(key) for key in ("runs", "sweeps", "verdicts", "diagnosis"))
    return test["outcome"] == "passed" and test["attempt"] == 1 and not told and not any(_said(test))


def _short(test: Mapping[str, Any]) -> str:
    """The verdicts counted, and what makes the test fail where none of them is a fail."""
    words = [verdict["verdict"] for verdict in test["verdicts"]]
    counted = [f"{words.count(word)} {word}" for word in _COLOURS if word in words]
    said = f" ({', '.join(counted)}{_failing(test)})" if counted else ""
    error = error_text(test) if test["outcome"] in _FAILED else None
    return f"{said}; by itself: {error}" if error else said


def _failing(test: Mapping[str, Any]) -> str:
    """Of the undecided limits: ": 2 over the limit, which fails"."""
    if test["outcome"] not in _FAILED:
        return ""
    found = [why_it_fails(verdict) for verdict in test["verdicts"] if is_undecided(verdict)]
    told = [f"{found.count(why)} {why}" for why in dict.fromkeys(found) if why]
    if len(set(found)) == 1 and told:
        told = [str(found[0])]
    return f": {' and '.join(told)}, which fails" if told else ""


def _survivals(test: Mapping[str, Any]) -> list[str]:
    """The line on its hostile inputs; none where it put none."""
    if "survival" not in test:
        return []
    found = test["survival"]
    said = f"hostile inputs: {_count(found['cases'], 'case')}, {found['survived']} survived"
    if found["restarts"]:
        said += f", {_count(found['restarts'], 'restart')} of the server ({found['restart_s']:.0f} s)"
    return [said]


def _said(test: Mapping[str, Any]) -> Iterator[str]:
    """What was not judged, what the server was held up by, and what became of runs that were to be kept."""
    for key in ("session", "not_judged", "liveness", "stacks_missing"):
        if test.get(key):
            yield test[key]
    yield from (f"clients that left: {found['what']}" for found in test.get("disconnects", ()))
    held_up = held_up_text((test.get("resources") or {}).get("full_ms"))
    if held_up:
        yield held_up
    if test.get("stacks"):
        times = len(test["stacks"])
        where = test.get(_STACKS)
        yield f"stacks of the server were taken {_times(times)}{f': {where}' if where else ''}"
    kept = test.get("kept")
    if kept is None:
        return
    before = kept["before"]
    if kept["left_out"] is not None:
        stays = f"; {_runs(before)} kept before stay{'s' if before == 1 else ''}" if before else ""
        yield f"not kept as {kept['name']}: {kept['left_out']}{stays}"
    else:
        instead = f", in place of {_runs(before)} kept before" if before else ""
        yield f"kept as {kept['name']}: {_runs(kept['runs'])}{instead}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _runs(number: int) -> str:
    return _count(number, "run")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

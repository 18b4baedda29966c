"""Everything of one test but its verdicts, which stand on its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.figures import figures
from pytest_llmserve.reports.html.markup import Child, Markup, broken, tag
from pytest_llmserve.reports.html.placing import Placed
from pytest_llmserve.reports.html.sections.cards import (
    MOST,
    filter_text,
    outcome_sign,
    verdict_list,
    worst_first,
)
from pytest_llmserve.reports.html.sections.errors import errors
from pytest_llmserve.reports.html.sections.headline import is_unsure, short_name
from pytest_llmserve.reports.html.sections.log import log
from pytest_llmserve.reports.html.sections.mix import carried
from pytest_llmserve.reports.html.sections.run import run_section
from pytest_llmserve.reports.html.sections.server import restarts, server, stacks
from pytest_llmserve.reports.html.sections.survival import disconnects, survival
from pytest_llmserve.reports.html.sections.sweeps import sweeps
from pytest_llmserve.reports.html.tables import items, part
from pytest_llmserve.reports.html.words import count, number

Test = Mapping[str, Any]


def details(test: Test, anchor: str, plots: Placed, *, open_: bool) -> Markup:
    """The details of a test.

    Args:
        test: its document.
        anchor: id of the element.
        plots: of the whole test, and of each of its runs.
        open_: it is shown without being asked for.
    """
    attempt = f" (attempt {test['attempt']})" if test["attempt"] > 1 else ""
    title = tag("h3", outcome_sign(test), " ", broken(short_name(test["nodeid"])), attempt)
    return tag(
        "details",
        tag("summary", title, tag("span", _when(test), class_="when")),
        tag("div", *_parts(test, plots), class_="inside"),
        id=anchor,
        class_="test",
        open=open_,
        data_outcome="failed" if test["outcome"] in {"failed", "error"} else test["outcome"],
        data_unsure=is_unsure(test),
        data_text=filter_text(test),
    )


def _parts(test: Test, plots: Placed) -> list[Child]:
    if plots.short:
        return _short(test)
    runs = test["runs"]
    titles = _titles(runs)
    return [
        tag("p", tag("code", test["nodeid"]), class_="nodeid"),
        part(4, "Limits", _limits(test) if len(test["verdicts"]) > MOST else None),
        part(4, "Through the test", figures(plots.whole), _note(plots.missing or plots.apart)),
        *(run_section(*each) for each in zip(runs, titles, plots.runs, strict=True)),
        *sweeps(test.get("sweeps") or ()),
        *carried(test["verdicts"]),
        survival(test.get("survival")),
        disconnects(test.get("disconnects") or ()),
        server(test.get("server"), test.get("resources")),
        restarts(test.get("restarts") or ()),
        log(test.get("log")),
        stacks(test.get("stacks") or (), test.get("stacks_missing")),
        _kept(test.get("kept")),
    ]


def _short(test: Test) -> list[Child]:
    """Of a test that failed, where there is no room for all: what went wrong beside what its card says."""
    runs = test["runs"]
    limits = [f"{each['verdict']}: {each['sentence']}" for each in worst_first(test["verdicts"])[MOST:]]
    return [
        tag("p", tag("code", test["nodeid"]), class_="nodeid"),
        part(4, "Further limits", items(limits)),
        *(part(4, title, errors(run)) for run, title in zip(runs, _titles(runs), strict=True)),
        *carried(test["verdicts"]),
        survival(test.get("survival")),
        disconnects(test.get("disconnects") or ()),
        restarts(test.get("restarts") or ()),
        log(test.get("log")),
        stacks(test.get("stacks") or (), test.get("stacks_missing")),
    ]


def _titles(runs: Sequence[Any]) -> list[str]:
    return ["Run"] if len(runs) == 1 else [f"Run {n} of {len(runs)}" for n in range(1, len(runs) + 1)]


def _limits(test: Test) -> Markup | None:
    return verdict_list(test["verdicts"], test["outcome"], test.get("not_judged"))


def _when(test: Test) -> str:
    runs = [count(len(test["runs"]), "run")] if test["runs"] else []
    lasted = [f"{number(test['duration_s'])} s"] if test.get("duration_s") is not None else []
    began = [str(test["started_at"])] if test.get("started_at") else []
    return ", ".join([*runs, *lasted, *began])


def _note(words: str) -> Markup | None:
    return tag("p", words, class_="note") if words else None


def _kept(found: Mapping[str, Any] | None) -> Markup | None:
    """What became of runs that were to be kept."""
    if found is None:
        return None
    if found.get("fault"):
        said = str(found["fault"])
    elif found["left_out"] is not None:
        said = f"Not kept as {found['name']}: {found['left_out']}"
    else:
        said = f"{count(found['runs'], 'run')} kept as {found['name']}"
    return tag("p", said, class_="note")

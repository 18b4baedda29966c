"""`--llm-report x.html`: one file that is understood at a glance, and opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_llmserve.reports.cases_joined import joined
from pytest_llmserve.reports.html.markup import Child, Markup, broken, join, tag
from pytest_llmserve.reports.html.placing import Placed, place
from pytest_llmserve.reports.html.sections.cards import card, in_order, sentence
from pytest_llmserve.reports.html.sections.cases import cases
from pytest_llmserve.reports.html.sections.details import details
from pytest_llmserve.reports.html.sections.environment import definitions, environment
from pytest_llmserve.reports.html.sections.headline import (
    counted,
    headline,
    is_unsure,
    last_attempts,
    reason,
    server_name,
    session_outcome,
    title,
)
from pytest_llmserve.reports.html.sections.shortened import shortened
from pytest_llmserve.reports.html.shell import banner, main, whole_page
from pytest_llmserve.reports.html.tables import part
from pytest_llmserve.reports.html.words import SIGNS, TONES
from pytest_llmserve.reports.itself import BAD
from pytest_llmserve.reports.terminal import grouped
from pytest_llmserve.reports.whole import write_text

Test = Mapping[str, Any]

_FILTER_FROM = 6
"""So many cards are looked through more easily with a filter."""
_KEY = "In each picture the dot is the estimate, the bar around it its interval, the upright line the limit."
_MOST_OPEN = 3
"""Failed tests whose details are shown without being asked for."""


def write(document: dict[str, Any], path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_text(page(document), path)


def page(document: Mapping[str, Any]) -> str:
    """The whole page of a document as docs/report.md has it."""
    tests = document["tests"]
    rows = grouped(tests)
    anchors = {id(row): f"test-{n}" for n, row in enumerate(rows, 1) if "passed" not in row}
    alone = [row for row in rows if id(row) in anchors]
    placed = _placed(alone, anchors)
    plots = [plot for row in alone for plot in placed[id(row)].all]
    for row in alone:
        if placed[id(row)].left_out:
            # Nothing is left that its card does not say: there is nothing to link to.
            del anchors[id(row)]
    found = document["environment"]
    return whole_page(
        title(tests),
        _first(tests, found),
        main(
            _cards(rows, anchors, placed),
            cases(document.get("comparisons") or ()),
            part(2, "Details", _details(alone, anchors, placed)),
            definitions(found),
            environment(found),
        ),
        plots=plots,
    )


def _first(tests: Sequence[Test], found: Mapping[str, Any]) -> Markup:
    """What everybody reads: the verdict of the session, and the sentence that explains it best."""
    outcome = session_outcome(tests)
    sign = tag("span", SIGNS[outcome], aria_hidden="true", class_="sign")
    why = reason(tests)
    return banner(
        tag("h1", sign, broken(headline(tests))),
        _why(*why) if why else None,
        _under(tests, found),
        tone=TONES[outcome],
    )


def _why(name: str, said: str) -> Markup:
    return tag("p", broken(f"{name}: ") if name else None, sentence(said), class_="why")


def _under(tests: Sequence[Test], found: Mapping[str, Any]) -> Markup:
    """Below the first sentence: counts, servers, when and with what."""
    servers = dict.fromkeys(server_name(test["server"]) for test in tests if test.get("server"))
    parts = [
        counted(tests) if any(test["outcome"] in BAD for test in last_attempts(tests)) else "",
        ", ".join(list(servers)[:3]) + (f" and {len(servers) - 3} more" if len(servers) > 3 else ""),
        str(found.get("started_at") or ""),
        f"pytest-llmserve {found.get('pytest_llmserve', '')}".strip(),
    ]
    return tag("p", [tag("span", said) for said in parts if said], class_="under")


def _cards(rows: Sequence[Test], anchors: Mapping[int, str], found: Mapping[int, Placed]) -> Markup | None:
    if not rows:
        return None
    cards = []
    for row in in_order(joined(rows)):
        first = id(row.get("first", row))
        pictures = first not in found or not found[first].short
        cards.append(card(row, anchors.get(first), pictures=pictures))
    told = tag("div", cards, class_="cards")
    judged = any(row.get("verdicts") for row in rows)
    key = tag("p", _KEY, class_="key") if judged else None
    return part(2, "Tests", _filter() if len(cards) >= _FILTER_FROM else None, key, told)


def _filter() -> Markup:
    """Useless without script, and so hidden until the script shows it."""
    kinds = {"": "every outcome", "failed": "failed", "unsure": "undecided", "passed": "passed"}
    choice = tag(
        "select", [tag("option", said, value=value) for value, said in kinds.items()], name_="outcome"
    )
    words = tag("input", type="search", name_="text", placeholder="part of a name", autocomplete="off")
    return tag(
        "form",
        tag("label", "Show ", choice),
        tag("label", "with ", words),
        tag("output", id="filter-said", aria_live="polite"),
        id="filter",
        role="search",
        hidden=True,
    )


def _placed(rows: Sequence[Test], anchors: Mapping[int, str]) -> dict[int, Placed]:
    """What there is room for: first for tests that failed, then for those with something undecided."""
    order = sorted(rows, key=lambda row: 0 if row["outcome"] in BAD else 1 if is_unsure(row) else 2)
    return dict(zip(map(id, order), place([(row, anchors[id(row)]) for row in order]), strict=True))


def _details(rows: Sequence[Test], anchors: Mapping[int, str], found: Mapping[int, Placed]) -> list[Child]:
    """A section a test; at last the figures of those that there is no room for."""
    bad = [row for row in last_attempts(rows) if row["outcome"] in BAD]
    opened = {id(row) for row in (bad[:_MOST_OPEN] if bad else rows if len(rows) == 1 else [])}
    told = [
        join(details(row, anchors[id(row)], found[id(row)], open_=id(row) in opened))
        for row in rows
        if id(row) in anchors
    ]
    return [*told, shortened([row for row in rows if found[id(row)].short])]

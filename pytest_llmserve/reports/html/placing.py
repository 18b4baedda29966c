"""Which tests have all their parts in a page: all of a few, of hundreds as many as open at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_llmserve.reports.html.figures import placed
from pytest_llmserve.reports.html.plot import Plot
from pytest_llmserve.reports.html.plots import at_once_text, plots_of_run, plots_of_test
from pytest_llmserve.reports.itself import BAD

Test = Mapping[str, Any]

ALL_REQUESTS_UNTIL = 50_000
"""So many figures in a page, of about 7 bytes: beyond them no single requests are drawn, curves are."""
PLOTS_UNTIL = 130_000
"""Beyond so many no plots are."""
WHOLE_UNTIL = 350_000
"""Beyond so many there are no details of tests that passed, and few of others."""
ERRORS_UNTIL = 380_000
"""Beyond so many there are none of these either."""
A_CARD, A_TEST, A_RUN, AN_ERROR = 440, 1000, 1000, 400
"""What weighs as much as so many figures: a card, tables of a test, those of a run, what went wrong."""
MOST_CARDS = 500
"""Cards that take room from details: even of thousands of tests the first have theirs."""
NO_ROOM = (
    "No plots: with those of all tests this file would be too large to open at once. "
    "The report of a session with fewer tests has them."
)


@dataclass(frozen=True)
class Placed:
    """The plots of a test.

    Attributes:
        whole: over its time.
        runs: of each run.
        missing: why there are none, though there are figures; else "".
        short: there is no room for the rest of its details either, but for what went wrong.
        left_out: nor for that.
        apart: which runs have their course with them; else "".
    """

    whole: Sequence[Plot] = ()
    runs: Sequence[Sequence[Plot]] = field(default=())
    missing: str = ""
    short: bool = False
    left_out: bool = False
    apart: str = ""

    @property
    def all(self) -> list[Plot]:
        """In the order in which they stand."""
        return [*self.whole, *(plot for run in self.runs for plot in run)]


def place(tests: Sequence[tuple[Test, str]]) -> list[Placed]:
    """The plots of each test, in the order in which they have a right to room: what failed comes first.

    Args:
        tests: each with the name of its place in the page.
    """
    used, found, cards = 0, [], A_CARD * min(MOST_CARDS, len(tests))
    for test, anchor in tests:
        measured = _measured(test)
        if measured and used + cards >= WHOLE_UNTIL:
            left_out = test["outcome"] not in BAD or used + cards >= ERRORS_UNTIL
            found.append(Placed((), [() for _ in test["runs"]], NO_ROOM, short=True, left_out=left_out))
            used += 0 if left_out else AN_ERROR
            continue
        each = _placed(test, anchor, used)
        rest = A_TEST + A_RUN * len(test["runs"]) if measured else 0
        used += rest + sum(weight(plot) for plot in each.all)
        found.append(each)
    return found


def weight(plot: Plot) -> int:
    """How many figures it puts into the page, in its data and in its table."""
    values = sum(len(series.values) + len(series.x) + len(series.labels) for series in plot.series)
    # A cell of the table is wrapped in an element.
    return len(plot.x) + values + 4 * sum(map(len, plot.rows)) + 4 * len(plot.marks)


def _placed(test: Test, anchor: str, used: int) -> Placed:
    runs, single_requests = range(len(test["runs"])), used < ALL_REQUESTS_UNTIL
    if used >= PLOTS_UNTIL:
        return Placed((), [() for _ in runs], NO_ROOM if _measured(test) else "")
    return Placed(
        placed(plots_of_test(test, single_requests=single_requests), anchor),
        [
            placed(plots_of_run(test, n, single_requests=single_requests), f"{anchor}-run-{n + 1}")
            for n in runs
        ],
        apart=at_once_text(test),
    )


def _measured(test: Test) -> bool:
    """Whether there is more to tell than fits on its card; no plots are made to find that out."""
    return bool(test["runs"] or (test.get("resources") or {}).get("series"))

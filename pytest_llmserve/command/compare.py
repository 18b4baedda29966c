"""`pytest-llmserve compare`: how two kept runs differ."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pytest_llmserve.checks.no_regression import Held, NoRegression
from pytest_llmserve.command.outputs import outputs, write_all
from pytest_llmserve.command.promises import promises
from pytest_llmserve.command.screen import Screen
from pytest_llmserve.command.sides import Side, side_of
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.verdict import Verdict
from pytest_llmserve.reports.document import verdict_documents
from pytest_llmserve.reports.kept_pairs import Pair, comparison_document, paired
from pytest_llmserve.reports.pairs_text import comparison_lines
from pytest_llmserve.reports.pairs_words import title

WRITERS: dict[str, str] = {
    ".json": "pytest_llmserve.reports.json_file:write",
    ".html": "pytest_llmserve.reports.html.comparison:write",
    ".md": "pytest_llmserve.reports.pairs_markdown:write",
}
OTHER_CHECKS = (
    "compare judges no_regression alone; for the limits of one run: pytest-llmserve report RUNS.jsonl"
)


def run(arguments: argparse.Namespace, screen: Screen) -> bool:
    """Compare, print and write; True = every limit holds, or none was given.

    Raises:
        SetupError: a side cannot be read, the two have nothing in common, or an argument is wrong.
    """
    checks = promises(arguments.check, (NoRegression.name,), OTHER_CHECKS)
    targets = outputs(arguments.output, WRITERS)
    before, after = (
        side_of(text, arguments.measurements, arguments.test) for text in (arguments.before, arguments.after)
    )
    pairs, left = paired(before.kept, after.kept)
    if not pairs:
        raise SetupError(
            f"{before.name} and {after.name} have no test in common: {_names(before)} there,"
            f" {_names(after)} here; name one test of each that --test finds in both"
        )
    verdicts = {
        test: [verdict for check in checks for verdict in _judged(check, held)]  # type: ignore[arg-type]
        for test, held in _held(pairs, after).items()
    }
    documents = {test: verdict_documents(found) for test, found in verdicts.items()}
    document = comparison_document((before.name, after.name), pairs, left, documents)
    screen.section(title(document))
    for line in comparison_lines(document, screen.width, screen.colour, screen.verbosity):
        screen.line(line)
    write_all(document, targets, screen)
    return not any(verdict.fails(arguments.strict) for found in verdicts.values() for verdict in found)


def _judged(check: NoRegression, held: Sequence[Held]) -> list[Verdict]:
    return check.judge_held(held)


def _held(pairs: Sequence[Pair], after: Side) -> dict[str, list[Held]]:
    """The runs of each test as the check takes them, in their order."""
    found: dict[str, list[Held]] = {}
    for pair in pairs:
        one = Held(pair.before, pair.after, after.runs.get(pair.after_at))
        found.setdefault(pair.after_at[0], []).append(one)
    return found


def _names(side: Side) -> str:
    return ", ".join(dict.fromkeys(nodeid for nodeid, _ in side.kept))

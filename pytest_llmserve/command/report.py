"""`pytest-llmserve report`: judge and report a kept run again."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from pytest_llmserve.checks import Check
from pytest_llmserve.checks.diagnosis import diagnose
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.command.judge import INTERRUPTED, REGRESSION, left_open, own_checks, verdicts_of, was_cut
from pytest_llmserve.command.outputs import outputs, write_all
from pytest_llmserve.command.promises import promises
from pytest_llmserve.command.screen import Screen
from pytest_llmserve.command.session import (
    RED,
    document_without_runs,
    found_in,
    not_the_last,
    outcome_now,
    session_text,
    without_runs,
)
from pytest_llmserve.command.sides import chosen
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.verdict import UNDECIDED, Verdict
from pytest_llmserve.reports import REPORTS
from pytest_llmserve.reports.charts.reference import REFERENCE, reference
from pytest_llmserve.reports.charts.server_marks import LOG, server_marks
from pytest_llmserve.reports.document import SCHEMA, run_document, verdict_documents, watched_document
from pytest_llmserve.reports.failure import failure_text
from pytest_llmserve.reports.kept_requests import read_session
from pytest_llmserve.reports.kept_run import (
    KeptRun,
    KeptTest,
    SessionTest,
    compared_of,
    evidence_of,
    last_attempts,
)
from pytest_llmserve.reports.private import CHARTS, MARKS

REQUESTS = ".jsonl"
_STACKS = "give -o FILE.json to have them"


@dataclass(frozen=True)
class Judged:
    """The last attempt at one test.

    Attributes:
        kept: its runs.
        failure: the text of its failure; None = every limit holds, or it was expected to fail.
        outcome: as in a report.
        session: what is to be told of its session; None = nothing.
    """

    kept: Sequence[KeptRun]
    evidence: Evidence
    verdicts: Sequence[Verdict]
    not_judged: str | None
    diagnosis: Sequence[Any]
    failure: str | None
    outcome: str
    session: str | None


def run(arguments: argparse.Namespace, screen: Screen) -> bool:
    """Judge, print and write; True = every limit holds.

    Raises:
        SetupError: the file cannot be read, or an argument is wrong.
    """
    checks = promises(arguments.check)
    writers = {ending: writer for ending, writer in REPORTS.items() if ending != REQUESTS}
    targets = outputs(arguments.output, writers)
    path = Path(arguments.requests)
    tests, session = _tests(path, arguments.test)
    _check_compared(checks, tests, path)
    done = [
        judge(kept, checks, arguments.strict, _repeat(arguments, nodeid), session)
        for nodeid, kept in tests.items()
    ]
    left = [] if arguments.test else without_runs(session, [kept[0].test.nodeid for kept in tests.values()])
    charts = any(target.suffix == ".html" for target in targets)
    documents = [test_document(one, charts) for one in done]
    documents += [] if checks else [document_without_runs(test) for test in left]
    whole = next((f"they are in {target}" for target in targets if target.suffix != ".md"), _STACKS)
    _show(screen, done, documents, left if checks else (), whole)
    environment = done[0].kept[0].test.environment
    write_all({"schema": SCHEMA, "environment": environment, "tests": documents}, targets, screen)
    return not any(document["outcome"] in RED for document in documents)


def judge(
    kept: Sequence[KeptRun],
    checks: Sequence[Check],
    strict: bool,
    repeat: str,
    session: Sequence[SessionTest],
) -> Judged:
    """Judge the runs of one test: by these checks, or where there are none by its own.

    Args:
        kept: the runs.
        checks: of the command line.
        strict: what is undecided counts as broken; so it does to its own where it did in its session.
        repeat: the command that does this again.
        session: what became of its tests; empty = not known.

    Raises:
        SetupError: its own are not known to this version.
    """
    test, evidence = kept[0].test, evidence_of(kept)
    ended = found_in(session, test.nodeid)
    asked = checks or own_checks(test.asked, test.nodeid)
    then = () if checks else test.verdicts
    verdicts, not_judged = verdicts_of(asked, evidence, compared_of(kept), test.asked, then)
    cut = ended == INTERRUPTED or (ended is None and was_cut(evidence.runs, test.verdicts))
    verdicts, ended = (left_open(verdicts), INTERRUPTED) if cut else (verdicts, ended)
    firm = strict or (test.strict and not checks)
    holds = evidence.death is None and not any(verdict.fails(firm) for verdict in verdicts)
    outcome, said = outcome_now(ended, holds, not checks), session_text(ended, holds, not checks)
    said = (
        "; ".join(part for part in (said, not_the_last(session, test.nodeid, test.attempt)) if part) or None
    )
    if holds or outcome not in RED:
        return Judged(kept, evidence, verdicts, not_judged, (), None, outcome, said)
    shorts = diagnose(evidence.runs, evidence.resources, verdicts, None, evidence.log)
    text = failure_text(
        verdicts,
        evidence.runs,
        evidence.resources,
        repeat,
        "--strict" if strict else "--llm-strict" if firm else None,
        evidence.death,
        diagnosis=shorts,
    )
    return Judged(kept, evidence, verdicts, not_judged, shorts, text, outcome, said)


def test_document(done: Judged, charts: bool) -> dict[str, Any]:
    """The test as a session would have put it into its report, with the verdicts of now.

    Args:
        done: what came of it.
        charts: with what plots are drawn from.
    """
    test = done.kept[0].test
    began_ns = done.evidence.started_ns
    zero_ns = done.kept[0].result.start_ns if began_ns is None else began_ns
    marks = {MARKS: _marks(test, zero_ns)} if charts else {}
    return {
        "nodeid": done.kept[0].nodeid,
        "attempt": test.attempt,
        "server": test.server,
        **test.report,
        "runs": [_run_document(kept, zero_ns, charts) for kept in done.kept],
        "verdicts": verdict_documents(list(done.verdicts)),
        "not_judged": done.not_judged,
        **({} if done.session is None else {"session": done.session}),
        "diagnosis": [short.as_json() for short in done.diagnosis],
        "resources": watched_document(test.resources, began_ns),
        **marks,
        "outcome": done.outcome,
    }


test_document.__test__ = False  # type: ignore[attr-defined]


def _marks(test: KeptTest, zero_ns: int) -> list[dict[str, Any]]:
    """As they were kept, but those of the log without what it said."""
    mine = server_marks(test.resources, test.log, zero_ns, fate=test.death)
    told = [row for row in mine if row["kind"] == LOG] + [row for row in test.marks if row["kind"] != LOG]
    return sorted(told, key=lambda row: float(row["at_s"]))


def _run_document(kept: KeptRun, zero_ns: int, charts: bool) -> dict[str, Any]:
    document = run_document(kept.result, keep_text=False, zero_ns=zero_ns, charts=charts) | kept.report
    if charts and isinstance(kept.baseline, Measurement):
        document[CHARTS][REFERENCE] = reference(kept.baseline)
    return document


def _tests(path: Path, wanted: Sequence[str]) -> tuple[dict[str, list[KeptRun]], list[SessionTest]]:
    """The runs of the last attempt at each test, in the order of the file, and what its session found."""
    found, session = read_session(path)
    runs = last_attempts(found)
    names = chosen([run.nodeid for run in runs], wanted, str(path))
    mine = [run for run in runs if run.nodeid in names]
    mine.sort(key=lambda run: names.index(run.nodeid))
    return {name: list(group) for name, group in groupby(mine, key=lambda run: run.nodeid)}, session


def _check_compared(checks: Sequence[Check], tests: Mapping[str, Sequence[KeptRun]], path: Path) -> None:
    if not any(check.name == REGRESSION for check in checks):
        return
    alone = [nodeid for nodeid, kept in tests.items() if compared_of(kept) is None]
    if alone:
        raise SetupError(
            f"--check {REGRESSION}: the runs of {', '.join(alone)} were compared with nothing:"
            f" pytest-llmserve compare BEFORE {path} holds them against others"
        )


def _repeat(arguments: argparse.Namespace, nodeid: str) -> str:
    words = ["pytest-llmserve", "report", arguments.requests, f"--test={nodeid}"]
    words += [word for check in arguments.check for word in ("--check", check)]
    return shlex.join([*words, *(["--strict"] if arguments.strict else [])])


def _show(
    screen: Screen,
    done: Sequence[Judged],
    documents: Sequence[dict[str, Any]],
    unjudged: Sequence[SessionTest],
    stacks: str,
) -> None:
    from pytest_llmserve.reports.terminal import summary_lines

    failed = [one for one in done if one.failure is not None]
    if failed and screen.verbosity >= -1:
        screen.section("FAILURES")
        for one in failed:
            screen.line(f" {one.kept[0].nodeid} ".center(screen.width, "_"), "red")
            screen.line(str(one.failure))
    screen.section("llmserve")
    for line in summary_lines(
        documents, screen.width, screen.colour, screen.verbosity, stacks=stacks, wrap=screen.is_terminal
    ):
        screen.line(line)
    if unjudged:
        named = ", ".join(f"{test.nodeid} ({test.outcome} in its session)" for test in unjudged)
        screen.line(f"not judged, as no request of them is in the file: {named}", "yellow")
    screen.line(*last_line(done, documents))


def last_line(done: Sequence[Judged], documents: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What came of it all, and its colour."""
    outcomes, every = [document["outcome"] for document in documents], _tests_said(len(documents))
    failed, cut = sum(outcome in RED for outcome in outcomes), outcomes.count(INTERRUPTED)
    if failed > cut:
        return f"{failed - cut} of {every} failed{f'; {cut} interrupted' if cut else ''}", "red"
    if cut:
        return f"{cut} of {every} interrupted", "red"
    mine = [one for one in done if one.outcome == "passed"]
    words = [verdict.verdict for one in mine for verdict in one.verdicts]
    others = Counter(document["outcome"] for document in documents if document["outcome"] != "passed")
    also = "".join(f"; {number} {outcome}" for outcome, number in others.items())
    if not words:
        return f"no limit was judged: the tests promise nothing; give --check{also}", "yellow"
    undecided, total = words.count(UNDECIDED), _tests_said(len(mine))
    if undecided:
        return f"no limit of {total} is broken, {undecided} of {len(words)} undecided{also}", "yellow"
    return f"every limit of {total} holds{also}", "green"


def _tests_said(number: int) -> str:
    return f"{number} test{'' if number == 1 else 's'}"

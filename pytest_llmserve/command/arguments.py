"""The command line: what may stand in it, and how its faults are told."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from pytest_llmserve import __version__

EXAMPLES = """\
examples:
  pytest-llmserve report run.jsonl
  pytest-llmserve report run.jsonl -o run.html --check 'latency(p99_ms=2000)' --check 'error_rate(max=0.01)'
  pytest-llmserve compare main.jsonl branch.jsonl -o difference.html
  pytest-llmserve compare main branch --check 'no_regression(percent=10)'

A file of runs is written by pytest --llm-report=run.jsonl, a name is kept by pytest --llm-save=main.

exit codes: 0 every limit holds, 1 a limit is broken, 2 interrupted, 3 a fault of our own, 4 wrong use
"""
_TEST = "only this test, or those whose name has this text in it"
_STRICT = "what is undecided counts as broken, as with pytest --llm-strict"


class _Parser(argparse.ArgumentParser):
    """argparse, but wrong use ends with 4, as pytest's does; 2 is Ctrl-C."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.format_usage()}ERROR: {message}; see {self.prog} --help\n")
        raise SystemExit(4)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The words of a command line.

    Returns:
        `verb`, `verbosity`, `output`, `check`, `test`, `strict`, and of `report` `requests`, of `compare`
        `before`, `after`, `measurements`.

    Raises:
        SystemExit: it asks for help or the version (0), or is wrong (4); either is told.
    """
    parser = _Parser(
        prog="pytest-llmserve",
        description="Judge, report and compare kept runs of model servers. Needs no server.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pytest-llmserve {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="report|compare", parser_class=_Parser)
    _add_report(verbs)
    _add_compare(verbs)
    found = parser.parse_args(argv)
    found.verbosity = found.verbose - found.quiet
    return found


def _add_report(verbs: argparse._SubParsersAction[_Parser]) -> None:
    verb = verbs.add_parser(
        "report",
        help="judge and report a kept run again",
        description="Judge and report the runs of a file again. Without --check the promises that the tests"
        " had are judged.",
        allow_abbrev=False,
    )
    verb.add_argument("requests", metavar="RUNS.jsonl", help="what pytest --llm-report=RUNS.jsonl wrote")
    _add_common(verb, "latency(p99_ms=2000)", "x.html, x.md or x.json")


def _add_compare(verbs: argparse._SubParsersAction[_Parser]) -> None:
    verb = verbs.add_parser(
        "compare",
        help="how two kept runs differ, and how sure that is",
        description="How the runs of AFTER differ from those of BEFORE. Each is a .jsonl file, a name kept by"
        " --llm-save, or a folder of such runs. Runs are paired by test and number.",
        allow_abbrev=False,
    )
    verb.add_argument(
        "before", metavar="BEFORE", help="what it is held against: main.jsonl, main, ./runs/main"
    )
    verb.add_argument("after", metavar="AFTER", help="what is looked at")
    _add_common(verb, "no_regression(percent=10)", "x.html, x.md or x.json")
    verb.add_argument(
        "--measurements",
        metavar="FOLDER",
        default=".llmserve",
        help="where --llm-save keeps runs, as the ini key llm_measurements names it (default: .llmserve)",
    )


def _add_common(verb: argparse.ArgumentParser, check: str, outputs: str) -> None:
    verb.add_argument(
        "-o", "--output", metavar="FILE", action="append", default=[], help=f"{outputs}; repeatable"
    )
    verb.add_argument(
        "--check", metavar="CHECK", action="append", default=[], help=f"as the marker: '{check}'; repeatable"
    )
    verb.add_argument("--test", metavar="NAME", action="append", default=[], help=f"{_TEST}; repeatable")
    verb.add_argument("--strict", action="store_true", help=_STRICT)
    verb.add_argument("-v", "--verbose", action="count", default=0, help="more: stages and resources")
    verb.add_argument("-q", "--quiet", action="count", default=0, help="less: a line a test")

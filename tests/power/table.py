"""The proof that verdicts hold: every process, judged many times, in a table.

``make proof``, or ``python tests/power/table.py [--write] [--runs 1000] [--sessions FILE]``

Prints each cell, then the tables; `--write` puts them into docs/verdicts.md. Exit status 1: verdicts were
wrong more often than they say.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import scipy
from harness import HEAD, JUST_BROKEN, JUST_KEPT, Cell, Question, answers, most_wrong, told
from processes import PROCESSES

PAGE = Path(__file__).parents[2] / "docs" / "verdicts.md"
BEGIN, END = "<!-- proof: begin -->", "<!-- proof: end -->"

CLAIMS = {"p50": "p50", "p90": "p90", "p99": "p99", "goodput99": "goodput 99 %", "errors": "error rate"}
JUST = (JUST_BROKEN, JUST_KEPT)
CLEAR = (0.5, 0.8, 1.25, 2.0)
FAMILIES = {
    "independent": 0.05,
    "queue, up to 80 % load": 0.07,
    "queue, over 80 % load": 0.10,
    "closed loop": 0.07,
    "correlated": 0.07,
    "periodic": 0.07,
    "drift": 0.07,
    "pauses": None,
    "bursts": None,
    "failures": None,
}
"""Family of processes -> the most wrong verdicts at the very limit; None: told, but not bounded."""
LEFT_OUT_LOADS = (0.3, 0.5, 0.65, 0.9)
"""Of queues whose service is not exponential: they lie between the others."""
TOLD = ("exponential", "lognormal-0.3", "lognormal-1", "mm1-50", "mm1-80", "mm4-80", "closed-8-4")
"""Processes by which it is told how many verdicts are given, and how soon."""
MOST_REQUESTS = 3000
LONG = 5000


def left_out(name: str) -> bool:
    return name[:2] in ("ml", "md") and int(name[4:]) in [round(100 * load) for load in LEFT_OUT_LOADS]


def long_of(runs: int) -> int:
    """Runs of the longest kind: where they are judged right, more of them tell little more."""
    return max(1, runs // 4)


def fixed(runs: int) -> list[Question]:
    """Runs of a size fixed before: the very limit for all, clear cases for some."""
    names = [name for name in PROCESSES if not left_out(name)]
    short = [Question(name, 300, runs, ("p50", "p90", "p99", "errors"), JUST) for name in names]
    asked = [Question(name, 1000, runs, tuple(CLAIMS), JUST) for name in names]
    clear = [Question(name, 1000, runs, ("p50", "p90", "p99"), CLEAR) for name in TOLD]
    long = [Question(name, LONG, long_of(runs), ("p90", "p99"), JUST) for name in names]
    return [*long, *asked, *short, *clear]


def sequential(runs: int) -> list[Question]:
    """Runs that end when they are decided."""
    claims = ("p90", "p99")
    names = (*TOLD, "mm1-90", "ar1-90")
    just = [Question(name, MOST_REQUESTS, runs, claims, JUST, "decided") for name in names]
    errors = replace(just[0], process="failures-1", claims=("errors",))
    clear = [Question(name, MOST_REQUESTS, long_of(runs) // 2, claims, CLEAR, "decided") for name in TOLD]
    return [*just, errors, *clear, replace(errors, runs=long_of(runs) // 2, factors=CLEAR)]


def broken(cells: Iterable[Cell]) -> list[str]:
    """Cells that break what is promised for their family."""
    found = []
    for cell in cells:
        rate = FAMILIES[PROCESSES[cell.process].family]
        if rate is not None and cell.wrong > most_wrong(rate, cell.runs):
            found.append(f"{told(cell).strip()}: more than {rate:.0%}")
    return found


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def worst(cells: Sequence[Cell], factor: float) -> str:
    shares = [cell.wrong / cell.runs for cell in cells if cell.factor == factor]
    return percent(max(shares)) if shares else ""


def row(words: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, words)) + " |\n"


def header(words: Sequence[str]) -> str:
    return row(words) + "|" + "---|" * len(words) + "\n"


def wrong_table(cells: Sequence[Cell]) -> str:
    """The most wrong verdicts in any process of a family."""
    text = header(["process (of how many)", "requests", *CLAIMS.values()])
    for family in FAMILIES:
        alike = [cell for cell in cells if PROCESSES[cell.process].family == family]
        for n in sorted({cell.requests for cell in alike}):
            said = []
            for claim in CLAIMS:
                of_claim = [cell for cell in alike if cell.claim == claim and cell.requests == n]
                said.append(
                    f"{worst(of_claim, JUST_BROKEN)} / {worst(of_claim, JUST_KEPT)}" if of_claim else ""
                )
            text += row([f"{family} ({len({cell.process for cell in alike})})", n, *said])
    return text


def given_table(cells: Sequence[Cell]) -> str:
    """How many verdicts are given where the limit is clearly broken or kept."""
    text = header(["process", "limit on", *(f"limit x {factor:g}" for factor in CLEAR)])
    for name in TOLD:
        for claim in ("p50", "p90", "p99"):
            shares = []
            for factor in CLEAR:
                (cell,) = [
                    c
                    for c in cells
                    if (c.process, c.claim, c.factor, c.requests) == (name, claim, factor, 1000)
                ]
                shares.append(percent((cell.failed if factor < 1 else cell.passed) / cell.runs))
            text += row([told_process(name), claim, *shares])
    return text


def sequential_table(cells: Sequence[Cell]) -> str:
    """Wrong verdicts, and how many requests it took to give one."""
    text = header(
        [
            "process",
            "claim",
            "wrong passes / fails at the very limit",
            *(f"requests at x {f:g}" for f in CLEAR),
        ]
    )
    keys = list(dict.fromkeys((cell.process, cell.claim) for cell in cells))
    for name, claim in keys:
        mine = [cell for cell in cells if (cell.process, cell.claim) == (name, claim)]
        used = [requests_used(mine, factor) for factor in CLEAR]
        wrong = f"{worst(mine, JUST_BROKEN)} / {worst(mine, JUST_KEPT)}"
        text += row([told_process(name), CLAIMS[claim], wrong, *used])
    return text


def requests_used(cells: Sequence[Cell], factor: float) -> str:
    for cell in cells:
        if cell.factor == factor:
            undecided = f" ({percent(cell.undecided / cell.runs)} % undecided)" if cell.undecided else ""
            return f"{cell.used / cell.runs:.0f}{undecided}"
    return ""


def told_process(name: str) -> str:
    return PROCESSES[name].told


def sessions_text(path: Path | None) -> str:
    """What the proof of whole sessions has left, in words."""
    if path is None:
        return ""
    found: dict[str, Any] = json.loads(path.read_text())
    return (
        f"\nThe same suite, {found['sessions']} sessions: {found['told']}. Accused: {found['accused']}."
        f" All limits shown to be kept: {found['decided']}. Undecided: {found['undecided']}, of which"
        f" {found['red']} with an estimate over the limit. A session took {found['requests']} requests and"
        f" {found['seconds']} s at the median.\n"
    )


def page(
    cells: Sequence[Cell], stopped: Sequence[Cell], found: Sequence[str], runs: int, sessions: str
) -> str:
    """What stands between the markers."""
    versions = f"Python {platform.python_version()}, numpy {numpy.__version__}, scipy {scipy.__version__}"
    bounds = (
        "".join(f"- Too often wrong: {sentence}.\n" for sentence in found) or "All are within their bounds.\n"
    )
    today = datetime.date.today().isoformat()
    long_runs = f"{long_of(runs)} where a run has {LONG} requests"
    return (
        f"Measured on {today} with {versions}, seed 1: {runs} runs of each process and limit,"
        f" {long_runs}.\n\n"
        "Wrong passes with the limit a hair under the true value / wrong fails with it a hair over, in % of"
        f" the runs, of the worst process of each kind:\n\n{wrong_table(cells)}\n{bounds}\n"
        "Right verdicts after 1000 requests, in % of the runs, by how far the limit is from the truth:\n\n"
        f"{given_table(cells)}\n"
        f'With `until="decided"`, {MOST_REQUESTS} requests at most: wrong verdicts as above, and how many'
        f" requests it took on average:\n\n{sequential_table(stopped)}{sessions}"
    )


def rewritten(text: str, tables: str) -> str:
    """The page with what stands between the markers replaced.

    Raises:
        ValueError: the markers are not there, once each and in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the page must hold {BEGIN} and, after it, {END}, once each")
    return text[: text.index(BEGIN) + len(BEGIN)] + "\n\n" + tables.strip() + "\n\n" + text[text.index(END) :]


def judged(questions: Sequence[Question], jobs: int) -> list[Cell]:
    """All cells, each printed as it comes."""
    found = []
    for cells in answers(questions, jobs):
        for cell in cells:
            print(told(cell), flush=True)
        found += cells
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="How often verdicts over all simulated processes are wrong.")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sessions", type=Path, help="what the proof of whole sessions has left")
    parser.add_argument("--write", action="store_true", help="rewrite the tables of docs/verdicts.md")
    asked = parser.parse_args()
    if asked.write and asked.runs < 1000:
        parser.error("--write publishes 1000 runs a cell or more")
    begun = time.monotonic()
    print(HEAD)
    cells = judged(fixed(asked.runs), asked.jobs)
    stopped = judged(sequential(asked.runs), asked.jobs)
    found = broken([*cells, *stopped])
    text = page(cells, stopped, found, asked.runs, sessions_text(asked.sessions))
    print(text)
    print(f"{(time.monotonic() - begun) / 60:.0f} minutes")
    if asked.write:
        PAGE.write_text(rewritten(PAGE.read_text(), text))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

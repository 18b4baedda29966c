"""How exact and how cheap the load engine is, beside other clients, against a server of exactly known timing.

``make bench``, or ``python benchmarks/bench.py [--only A,D] [--clients engine,aiohttp] [--runs 3]``

The server is pinned on one core and the client on another; in each round all clients are measured one after
the other. Exit status 1: the engine is outside its bounds (bounds.py). docs/performance.md says how each
figure is measured, and holds the tables of the last complete run.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bounds
import clients
import measuring
import report
import scenarios
from clients import Client
from figures import Figures
from measuring import Cores
from report import Found
from scenarios import Scenario

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def main() -> int:
    if sentence := wrong_system(sys.platform):
        sys.exit(sentence)
    asked = parse(sys.argv[1:])
    cores = Cores.of_this_machine()
    # The client's core is the client's alone: what this program does, it does beside the server.
    os.sched_setaffinity(0, {cores.server})
    found = measured(asked, cores)
    print(report.ratio_table(found.rows))
    findings = bounds.judge(found.rows, asked.scenarios)
    if asked.memory:
        findings = findings.and_of(bounds.judge_memory(found.memory))
    for sentence in findings.unjudged:
        print(f"NOT JUDGED: {sentence}")
    for sentence in findings.broken:
        print(f"OUT OF BOUNDS: {sentence}")
    if asked.page:
        text = report.page(found, findings, asked.command, datetime.date.today(), report.machine())
        asked.page.write_text(report.rewritten(asked.page.read_text(), text))
    return 1 if findings.broken else 0


def wrong_system(platform: str) -> str | None:
    """Why the benchmark cannot run here, or None."""
    if platform == "linux":
        return None
    return f"the benchmark runs on Linux only: it pins processes to cores and reads /proc; this is {platform}"


def measured(asked: Asked, cores: Cores) -> Found:
    """Everything asked for, told as it comes."""
    left_out: list[str] = []
    paces = {"before": measuring.measure_pace(cores)}
    print(report.pace_table(paces), flush=True)
    starts = measuring.measure_start_ups(asked.who, cores, left_out)
    print(report.start_up_table(starts), flush=True)
    rows: dict[Scenario, Sequence[Figures]] = {}
    for group in scenarios.grouped(asked.scenarios):
        for scenario, row in measuring.measure(group, asked.who, starts, asked.runs, cores, left_out).items():
            rows[scenario] = row
            print(report.scenario_table(scenario, row), flush=True)
    memory = None
    if asked.memory and bounds.ENGINE in starts:
        memory = measuring.measure_memory(asked.scale, cores)
        print(report.memory_table(memory), flush=True)
    paces["after"] = measuring.measure_pace(cores)
    print(report.pace_table(paces), flush=True)
    return Found(paces, starts, rows, memory, left_out)


@dataclass(frozen=True)
class Asked:
    """The command line."""

    scenarios: list[Scenario]
    memory: bool
    who: list[Client]
    runs: int
    scale: float
    page: Path | None
    command: str


def parse(words: Sequence[str]) -> Asked:
    parser = argparse.ArgumentParser(
        description="How exact and how cheap the load engine is, beside other clients."
    )
    parser.add_argument("--only", help="letters of scenarios, such as A,D; all by default")
    parser.add_argument("--clients", help="such as engine,aiohttp; all whose environment is known by default")
    parser.add_argument("--runs", type=int, default=3, help="of scenarios whose figures are medians")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="multiplies the length of every run; 1 by default"
    )
    parser.add_argument("--write", action="store_true", help="rewrite the tables of docs/performance.md")
    for name in clients.OUTSIDE:
        parser.add_argument(f"--{name}-python", help=f"python of an environment with {name}")
    asked = parser.parse_args(words)
    try:
        pythons = {
            name: clients.python_of(name, getattr(asked, f"{name}_python"), os.environ)
            for name in clients.OUTSIDE
        }
        letters = scenarios.letters(asked.only)
        who = clients.chosen(asked.clients, pythons)
    except ValueError as error:
        parser.error(str(error))
    if asked.write and (asked.only or asked.clients or asked.scale != 1.0):
        parser.error("--write publishes complete runs only: leave out --only, --clients and --scale")
    if not asked.scale > 0:
        parser.error(f"--scale must be more than 0, not {asked.scale:g}")
    return Asked(
        scenarios=[
            replace(scenario, seconds=scenario.seconds * asked.scale)
            for scenario in scenarios.SCENARIOS
            if scenario.letter in letters
        ],
        memory=scenarios.MEMORY in letters,
        who=who,
        runs=max(1, asked.runs),
        scale=asked.scale,
        page=PAGE if asked.write else None,
        command=told(words),
    )


def told(words: Sequence[str]) -> str:
    """The command line without paths of this machine."""
    return re.sub(r"(--\w+-python)[ =]\S+", r"\1 PATH", " ".join(words))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as failure:
        sys.exit(str(failure))

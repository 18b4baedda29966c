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
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bounds
import clients
import figures
import report
import scenarios
import timed_server
import usage
from clients import Client
from figures import Figures, StartUp
from scenarios import Scenario

START_UP_RUNS = 3
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


@dataclass(frozen=True)
class Cores:
    """Who runs where. A second worker gets a core of its own when the machine has one more."""

    client: int
    server: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        mine = sorted(os.sched_getaffinity(0))
        if len(mine) < 2:
            sys.exit(
                f"needs two cores, one for the server and one for the client; this process may use {mine}"
            )
        return cls(client=mine[0], server=mine[1])


def measure_once(client: Client, scenario: Scenario, start: StartUp, cores: Cores) -> Figures | str:
    """One run; a sentence when the client cannot do what the scenario asks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = timed_server.fallback_command() if scenario.python_server else None
        certificate = timed_server.certificate(folder) if scenario.tls else None
        options = [*scenario.server_options, "--cpu", cores.server]
        if certificate:
            options += ["--tls", certificate.chain]
        authority = certificate.authority if certificate else None
        with (
            timed_server.running(folder, *options, program=program) as (url, log),
            usage.busy_neighbours(scenario.busy, cores.client),
        ):
            found, used = clients.run(client, scenario, url, folder, [cores.client], authority)
        if "unsupported" in found:
            return str(found["unsupported"])
        return figures.figures(client.name, scenario, found, timed_server.read_log(log), used, start)


def measure_start_up(client: Client, workers: int, cores: Cores) -> StartUp:
    """Median cost of a run of one request a worker."""
    scenario, runs = scenarios.start_up(workers), []
    for _ in range(START_UP_RUNS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with timed_server.running(folder, *scenario.server_options, "--cpu", cores.server) as (url, _):
                runs.append(clients.run(client, scenario, url, folder, [cores.client])[1])
    return StartUp(statistics.median(r.cpu_s for r in runs), statistics.median(r.wall_s for r in runs))


def measure(
    scenario: Scenario, who: Iterable[Client], starts: Mapping[str, StartUp], runs: int, cores: Cores
) -> list[Figures]:
    """All clients side by side, as often as asked; medians.

    A peer that fails is told and left out; the engine may not fail.
    """
    found: dict[str, list[Figures]] = {}
    who = [client for client in who if scenario.every_client or client.name == bounds.ENGINE]
    if scenario.workers > 1:
        starts = {client.name: measure_start_up(client, scenario.workers, cores) for client in who}
    for _ in range(runs if scenario.repeated else 1):
        for client in who:
            try:
                once = measure_once(client, scenario, starts[client.name], cores)
            except RuntimeError as error:
                if client.name == bounds.ENGINE:
                    raise
                once = str(error)
            if isinstance(once, str):
                print(f"{scenario.letter}, {client.name}: {once}", flush=True)
            else:
                found.setdefault(client.name, []).append(once)
    return [figures.median_of(several) for several in found.values()]


def main() -> int:
    asked = parse(sys.argv[1:])
    cores = Cores.of_this_machine()
    # The client's core is the client's alone: what this program does, it does beside the server.
    os.sched_setaffinity(0, {cores.server})
    starts = {client.name: measure_start_up(client, 1, cores) for client in asked.who}
    print(report.start_up_table(starts), flush=True)
    rows: dict[Scenario, Sequence[Figures]] = {}
    for scenario in asked.scenarios:
        if found := measure(scenario, asked.who, starts, asked.runs, cores):
            rows[scenario] = found
            print(report.scenario_table(scenario, found), flush=True)
    print(report.ratio_table(rows))
    findings = bounds.judge(rows)
    for sentence in findings.unjudged:
        print(f"NOT JUDGED: {sentence}")
    for sentence in findings.broken:
        print(f"OUT OF BOUNDS: {sentence}")
    if asked.page:
        text = report.page(starts, rows, findings, asked.command, datetime.date.today(), report.machine())
        asked.page.write_text(report.rewritten(asked.page.read_text(), text))
    return 1 if findings.broken else 0


@dataclass(frozen=True)
class Asked:
    """The command line."""

    scenarios: list[Scenario]
    who: list[Client]
    runs: int
    page: Path | None
    command: str


def parse(words: Sequence[str]) -> Asked:
    parser = argparse.ArgumentParser(
        description="How exact and how cheap the load engine is, beside other clients."
    )
    parser.add_argument("--only", help="letters of scenarios, such as A,D; all by default")
    parser.add_argument("--clients", help="such as engine,aiohttp; all whose environment is known by default")
    parser.add_argument("--runs", type=int, default=3, help="of scenarios whose figures are medians")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the length of every run")
    parser.add_argument("--write", action="store_true", help="rewrite the tables of docs/performance.md")
    for name in clients.OUTSIDE:
        parser.add_argument(f"--{name}-python", help=f"python of an environment with {name}")
    asked = parser.parse_args(words)
    try:
        pythons = {
            name: clients.python_of(name, getattr(asked, f"{name}_python"), os.environ)
            for name in clients.OUTSIDE
        }
        chosen = scenarios.chosen(asked.only)
        who = clients.chosen(asked.clients, pythons)
    except ValueError as error:
        parser.error(str(error))
    scaled = [replace(scenario, seconds=scenario.seconds * asked.scale) for scenario in chosen]
    return Asked(scaled, who, max(1, asked.runs), PAGE if asked.write else None, told(words))


def told(words: Sequence[str]) -> str:
    """The command line without paths of this machine."""
    return re.sub(r"(--\w+-python)[ =]\S+", r"\1 PATH", " ".join(words))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as failure:
        sys.exit(str(failure))

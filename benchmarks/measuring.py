"""The runs themselves: who is measured on which core, in which order, and who is left out."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bounds
import clients
import figures
import scenarios
import timed_server
import usage
from clients import Client
from figures import Figures, Memory, Pace, StartUp
from scenarios import Scenario

HERE = Path(__file__).parent
START_UP_RUNS = 3
CALIBRATION_LIMIT_S = 60.0
MEMORY_LIMIT_S = 1800.0
MEMORY_REQUESTS = 200_000
# Fewer than one a user would leave users without.
FEWEST_REQUESTS = 500


@dataclass(frozen=True)
class Cores:
    """Who runs where. What this program does, it does beside the server.

    Attributes:
        second: what a second worker gets besides: a third core, or else the client's again.
    """

    client: int
    server: int
    second: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        return cls.among(os.sched_getaffinity(0))

    @classmethod
    def among(cls, cores: Iterable[int]) -> Cores:
        """The first for the client, the next for the server."""
        mine = sorted(cores)
        if len(mine) < 2:
            sys.exit(
                f"needs two cores, one for the server and one for the client; this process may use {mine}"
            )
        return cls(client=mine[0], server=mine[1], second=mine[2] if len(mine) > 2 else mine[0])

    def of(self, scenario: Scenario) -> list[int]:
        """Those the client may use."""
        return [self.client] if scenario.workers == 1 else [self.client, self.second]


def run_once(
    client: Client, scenario: Scenario, cores: Cores
) -> tuple[dict[str, Any], list[timed_server.Served], usage.Usage]:
    """One run: the client's findings, the server's record, what was used."""
    cpus = cores.of(scenario)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = timed_server.fallback_command() if scenario.python_server else None
        certificate = timed_server.certificate(folder) if scenario.tls else None
        options = [*scenario.server_options, "--cpu", cores.server]
        if certificate:
            options += ["--tls", certificate.chain]
        with timed_server.running(folder, *options, program=program) as (url, log):
            apart = usage.tree(os.getpid()) if cores.server in cpus else []
            authority = certificate.authority if certificate else None
            with (
                usage.busy_neighbours(scenario.busy, cores.client),
                usage.busy_neighbours(int(scenario.awake), cores.client, lowest=True) as spinning,
            ):
                found, used = clients.run(client, scenario, url, folder, cpus, authority, [*apart, *spinning])
        return found, timed_server.read_log(log), used


def measure_start_up(client: Client, workers: int, cores: Cores) -> StartUp:
    """Median cost of a run of one request a worker."""
    scenario = scenarios.start_up(workers)
    runs = [run_once(client, scenario, cores)[2] for _ in range(START_UP_RUNS)]
    return StartUp(statistics.median(r.cpu_s for r in runs), statistics.median(r.wall_s for r in runs))


def measure_start_ups(who: Iterable[Client], cores: Cores, left_out: list[str]) -> dict[str, StartUp]:
    """Of each client; a peer that fails is told and left out of everything."""
    starts = {}
    for client in who:
        try:
            starts[client.name] = measure_start_up(client, 1, cores)
        except RuntimeError as error:
            _leave_out(client, "start-up, and so everything", error, left_out)
    return starts


def _leave_out(client: Client, where: str, error: RuntimeError, left_out: list[str]) -> None:
    """Of the engine the error goes on: without it there is nothing to say."""
    if client.name == bounds.ENGINE:
        raise error
    left_out.append(f"{client.name}, from {where}: {error}")
    print(f"LEFT OUT: {left_out[-1]}", flush=True)


def measure_once(client: Client, scenario: Scenario, start: StartUp, cores: Cores) -> Figures:
    """One run as figures.

    Raises:
        RuntimeError: the client failed, or a request did.
    """
    found, served, used = run_once(client, scenario, cores)
    return figures.figures(client.name, scenario, found, served, used, start)


def measure(
    group: Sequence[Scenario],
    who: Sequence[Client],
    starts: Mapping[str, StartUp],
    runs: int,
    cores: Cores,
    left_out: list[str],
) -> dict[Scenario, list[Figures]]:
    """All scenarios of a letter and all clients in turns, as often as asked; medians.

    A peer that fails is told, and left out of that scenario; the engine may not fail.
    """
    turns = [
        (scenario, client)
        for scenario in group
        for client in who
        if client.name in starts and (scenario.clients is None or client.name in scenario.clients)
    ]
    start_of = {
        (scenario, client): starts[client.name]
        if scenario.workers == 1
        else measure_start_up(client, scenario.workers, cores)
        for scenario, client in turns
    }
    found: dict[tuple[Scenario, Client], list[Figures]] = {turn: [] for turn in turns}
    for _ in range(max(max(s.least_runs, runs) if s.repeated else 1 for s in group)):
        for scenario, client in list(found):
            try:
                once = measure_once(client, scenario, start_of[scenario, client], cores)
            except RuntimeError as error:
                _leave_out(client, scenario.name, error, left_out)
                del found[scenario, client]
            else:
                found[scenario, client].append(once)
    rows: dict[Scenario, list[Figures]] = {}
    for (scenario, _), several in found.items():
        rows.setdefault(scenario, []).append(figures.median_of(several))
    return rows


def measure_pace(cores: Cores) -> Pace:
    """What a fixed piece of work costs on the client's core."""
    plain = _calibrated(cores)
    with usage.busy_neighbours(1, cores.client, lowest=True):
        awake = _calibrated(cores)
    return Pace(plain["hot_us"], plain["slept_us"], awake["slept_us"])


def _calibrated(cores: Cores) -> dict[str, float]:
    command = [sys.executable, HERE / "calibration.py"]
    return dict(_written(command, [cores.client], CALIBRATION_LIMIT_S))


def measure_memory(scale: float, cores: Cores) -> Memory:
    """The long run of memory.py, on both cores."""
    words = ["--requests", max(FEWEST_REQUESTS, round(MEMORY_REQUESTS * scale))]
    command = [sys.executable, HERE / "memory.py", *words]
    return Memory(**_written(command, [cores.client, cores.server], MEMORY_LIMIT_S))


def _written(command: Sequence[object], cpus: Sequence[int], limit_s: float) -> dict[str, Any]:
    """What a program of ours writes to --out."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "out.json"
        usage.run([*command, "--out", out], cpus, limit_s)
        found: dict[str, Any] = json.loads(out.read_text())
        return found

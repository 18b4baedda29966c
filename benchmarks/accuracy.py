"""How exact and how cheap the load engine is, against a server that wrote down when it sent each token.

``make bench``, or ``python benchmarks/accuracy.py [--users 64] [--requests 640] [--clients engine,httpx]``

The server is pinned on one core and the client on another, once alone and once beside busy processes.
Shown is how far the reported TTFT is from the server's own record: at p50, at p99, and for the worst single
request. Exit status 1: the engine is outside its bounds (ERROR_BOUND_MS, CPU_BOUND_US). Other clients stand
there for comparison.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import timed_server

ERROR_BOUND_MS = 2.0
CPU_BOUND_US = 20.0
SERVER_CPU, CLIENT_CPU = 1, 0
CLIENT_LIMIT_S = 300.0
HEADINGS = ("client", "users", "busy", "n", "server p50", "p99", "error p50", "p99", "worst", "cpu us/chunk")
WIDTHS = (8, 6, 5, 6, 11, 9, 10, 9, 9, 13)


@dataclass(frozen=True)
class Comparison:
    """A client's TTFT beside the server's record of the same requests, in milliseconds."""

    client: str
    users: int
    busy: int
    pairs: tuple[tuple[float, float], ...]
    cpu_us_per_chunk: float

    def server(self, q: float) -> float:
        return nearest_rank([served for served, _ in self.pairs], q)

    def error(self, q: float) -> float:
        """Reported quantile minus true quantile."""
        return nearest_rank([told for _, told in self.pairs], q) - self.server(q)

    @property
    def worst(self) -> float:
        """The largest error of a single request, by size."""
        return max((told - served for served, told in self.pairs), key=abs)

    def row(self) -> tuple[object, ...]:
        errors = (self.server(0.5), self.server(0.99), self.error(0.5), self.error(0.99), self.worst)
        figures = (f"{value:.3f}" for value in errors)
        return (self.client, self.users, self.busy, len(self.pairs), *figures, f"{self.cpu_us_per_chunk:.1f}")


def nearest_rank(values: Sequence[float], q: float) -> float:
    """The ceil(q*n)-th smallest."""
    return sorted(values)[max(1, math.ceil(q * len(values) - 1e-9)) - 1]


def compare(client: str, users: int, busy: int, found: dict, served: list[timed_server.Served]) -> Comparison:
    """Match a client's output with the server's log by request id.

    Raises:
        RuntimeError: a request failed, or is missing on either side.
    """
    told = found["ttft_ms"]
    truth = {record.id: record.ttft_ms for record in served}
    missing = sorted(set(told) - set(truth))
    if found["failed"] or missing or not told:
        raise RuntimeError(
            f"{client}: {len(told)} answered, {found['failed']} failed, {len(missing)} unknown to the server"
            f" ({', '.join(missing[:3])}): the run tells nothing"
        )
    pairs = tuple((truth[name], told[name]) for name in told)
    return Comparison(client, users, busy, pairs, found["cpu_s"] / found["chunks"] * 1e6)


def out_of_bounds(comparisons: Sequence[Comparison]) -> list[str]:
    """What the engine failed to keep, as sentences.

    CPU is judged on the quiet core: beside others, caches are cold and clocks are shared.
    """
    faults = []
    for row in comparisons:
        if row.client != "engine":
            continue
        where = f"{row.users} users, {row.busy} busy processes"
        if abs(row.error(0.99)) > ERROR_BOUND_MS:
            faults.append(f"TTFT p99 is off by {row.error(0.99):.3f} ms > {ERROR_BOUND_MS} ms ({where})")
        if not row.busy and row.cpu_us_per_chunk > CPU_BOUND_US:
            faults.append(f"{row.cpu_us_per_chunk:.1f} us of CPU a chunk > {CPU_BOUND_US} us ({where})")
    return faults


@contextmanager
def busy_neighbours(count: int, cpu: int) -> Iterator[None]:
    """Processes that compute without pause on the client's core."""
    code = f"import os\nos.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass"
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def run_client(name: str, url: str, users: int, requests: int, folder: Path, cpu: int) -> dict:
    """Run one client program pinned on a core; return what it found."""
    out = folder / "client.json"
    program = Path(__file__).parent / f"{name}_client.py"
    options = ["--url", url, "--users", users, "--requests", requests, "--out", out]
    pin = f"import os, sys; os.sched_setaffinity(0, {{{cpu}}}); os.execv(sys.executable, sys.argv[1:])"
    command = [sys.executable, "-c", pin, sys.executable, program, *options]
    subprocess.run([*map(str, command)], check=True, timeout=CLIENT_LIMIT_S)
    return json.loads(out.read_text())


def measure(client: str, users: int, requests: int, busy: int) -> Comparison:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            timed_server.running(folder, "--cpu", SERVER_CPU) as (url, log),
            busy_neighbours(busy, CLIENT_CPU),
        ):
            found = run_client(client, url, users, requests, folder, CLIENT_CPU)
        return compare(client, users, busy, found, timed_server.read_log(log))


def show(row: Sequence[object]) -> None:
    cells = zip(row, WIDTHS, strict=True)
    print("".join(str(cell).rjust(width) for cell, width in cells), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="How exact and how cheap the load engine is.")
    parser.add_argument("--users", type=int, default=64)
    parser.add_argument("--requests", type=int, default=640, help="of each run")
    parser.add_argument("--busy", default="0,3", help="numbers of busy processes on the client's core")
    parser.add_argument("--clients", default="engine,httpx")
    options = parser.parse_args()
    if not {SERVER_CPU, CLIENT_CPU} <= os.sched_getaffinity(0):
        sys.exit(
            f"needs the cores {CLIENT_CPU} and {SERVER_CPU}; this process may use {os.sched_getaffinity(0)}"
        )
    print("TTFT in ms; error = reported by the client minus the server's own record")
    show(HEADINGS)
    comparisons = []
    for client in options.clients.split(","):
        for busy in map(int, options.busy.split(",")):
            comparisons.append(measure(client, options.users, options.requests, busy))
            show(comparisons[-1].row())
    faults = out_of_bounds(comparisons)
    for fault in faults:
        print(f"OUT OF BOUNDS: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""Every planted fault against one acceptance suite: what finds it, and what else fails.

``python tests/power/fault_matrix.py [--seeds 20] [--healthy 100] [--jobs 2] [--only leak] [--left FILE]``

Each row is a pytest session of its own against the simulator, started by `--llm-serve`.
Exit status 1: a fault was not found, or a check failed that has no cause to.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_rows import HEALTHY, LEGAL, ROWS, Row

SUITE = Path(__file__).with_name("fault_suite.py.txt")
SESSION_LIMIT_S = 300
JOBS = max(1, (os.cpu_count() or 2) // 2)
"""Sessions at a time: more would be in each other's way."""


@dataclass(frozen=True)
class Seen:
    """What one session said.

    Attributes:
        exit: status of pytest.
        failed: checks whose verdict is "fail", or, without a verdict of their own, whose test failed.
        red: tests that failed with no check to blame: without a verdict, or undecided and over the limit.
        sentences: of the checks that failed.
        text: all that was printed.
    """

    exit: int
    failed: frozenset[str]
    red: tuple[str, ...]
    sentences: dict[str, str]
    text: str = field(repr=False)
    seconds: float = 0.0


def serve_option(faults: Sequence[str], seed: int) -> str:
    """The simulator with these faults, as pytest is told to start it."""
    planted = "".join(f" --fault {fault}" for fault in faults)
    command = f"{sys.executable} -m pytest_llmserve.simulator --port {{port}} --slots 8"
    return f"--llm-serve={command} --seed {seed}{planted}"


def arguments(row: Row, seed: int, report: Path, needs: Sequence[str]) -> list[str]:
    """Of pytest; no `needs` = the whole suite."""
    chosen = ["-k", " or ".join(f"test_{name}" for name in needs)] if needs else []
    return [serve_option(row.faults, seed), *told(report, seed), *chosen]


def told(report: Path, seed: int) -> list[str]:
    """Options of any session."""
    return [f"--llm-report={report}", f"--hypothesis-seed={seed}", "-p", "no:cacheprovider", "-q"]


def session(row: Row, seed: int, needs: Sequence[str] = ()) -> Seen:
    """Run the suite in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "test_suite.py").write_text(SUITE.read_text())
        (place / "pytest.ini").write_text("[pytest]\n")
        report = place / "report.json"
        begun = time.monotonic()
        command = [sys.executable, "-m", "pytest", *arguments(row, seed, report, needs)]
        done = subprocess.run(
            command, cwd=place, capture_output=True, text=True, timeout=SESSION_LIMIT_S, check=False
        )
        seconds = time.monotonic() - begun
        return seen(done.returncode, report, done.stdout + done.stderr, seconds)


def seen(status: int, report: Path, text: str, seconds: float = 0.0) -> Seen:
    """What a session left behind."""
    return of_tests(tests_in(report, text), status, text, seconds)


def seen_of_each(report: Path, text: str) -> dict[str, Seen]:
    """What a session left behind whose tests are named by their row: "test_load[leak:kb=100]"."""
    found: dict[str, list[Any]] = {}
    for test in tests_in(report, text):
        found.setdefault(test["nodeid"].partition("[")[2].removesuffix("]"), []).append(test)
    return {name: of_tests(tests, 0, text) for name, tests in found.items()}


def tests_in(report: Path, text: str) -> list[dict[str, Any]]:
    if not report.exists():
        raise AssertionError(f"the session wrote no report:\n{text}")
    found: list[dict[str, Any]] = json.loads(report.read_text())["tests"]
    return found


def of_tests(tests: Iterable[dict[str, Any]], status: int, text: str, seconds: float = 0.0) -> Seen:
    sentences: dict[str, str] = {}
    red: list[str] = []
    for test in tests:
        failing = {v["check"]: v["sentence"] for v in reversed(test["verdicts"]) if v["verdict"] == "fail"}
        failing |= refusals(test)
        sentences |= failing
        if test["outcome"] in ("failed", "error") and not failing:
            red.append(red_of(test))
    return Seen(status, frozenset(sentences), tuple(red), sentences, text, seconds)


def refusals(test: dict[str, Any]) -> dict[str, str]:
    """What a test's own `assert` said no to: the calls that judge without a marker."""
    hostile = test.get("survival", {}).get("faults", [])
    left = [one for one in test.get("disconnects", ()) if one["faults"]]
    found = {"survives": hostile, "recovers_from_disconnects": left}
    return {check: faults[0]["what"] for check, faults in found.items() if faults}


def red_of(test: dict[str, Any]) -> str:
    undecided = [v["sentence"] for v in test["verdicts"] if v["verdict"] == "undecided"]
    return f"{test['nodeid'].rpartition('::')[2]}: {'; '.join(undecided) or test['outcome']}"


@dataclass
class Count:
    """Sessions of one row, counted."""

    row: Row
    sessions: int = 0
    found: int = 0
    alarms: Counter[str] = field(default_factory=Counter)
    red: Counter[str] = field(default_factory=Counter)
    sentence: str = ""
    seconds: float = 0.0

    def add(self, one: Seen) -> list[str]:
        """Count a session; returns what is wrong with it, in words."""
        row = self.row
        self.sessions += 1
        self.seconds += one.seconds
        if row.found_by is not None and row.found_by in one.failed:
            self.found += 1
            self.sentence = self.sentence or one.sentences[row.found_by]
        alarms = sorted(one.failed - row.also - {row.found_by})
        self.alarms.update(alarms)
        self.red.update(one.red)
        wrong = [f"{check}: {one.sentences[check]}" for check in alarms]
        if row.found_by is None:  # a fault that is found may take the evidence from other tests
            wrong += one.red
        if row.found_by is not None and row.found_by not in one.failed:
            wrong.append(f"{row.found_by} did not fail")
        return wrong

    @property
    def wrong(self) -> bool:
        """The fault was missed, or a check failed without a cause."""
        if self.row.found_by is None:
            return bool(self.alarms or self.red)
        return bool(self.alarms or self.found < self.sessions)

    def as_json(self) -> dict[str, Any]:
        row = self.row
        counted = {"sessions": self.sessions, "found": self.found, "alarms": dict(self.alarms)}
        return {"name": row.name, "found_by": row.found_by, **counted, "sentence": self.sentence}

    def told(self) -> str:
        found = f"found {self.found}" if self.row.found_by else "nothing to find"
        alarms = ", ".join(f"{check} {times}" for check, times in self.alarms.items()) or "none"
        each_s = self.seconds / max(1, self.sessions)
        return (
            f"{self.row.name:32} {self.sessions:4} sessions  {found:16} false alarms: {alarms}"
            f"  red without a verdict: {sum(self.red.values())}  {each_s:.1f} s each"
        )


def all_sessions(seeds: int, healthy: int, only: str = "") -> list[tuple[Row, int]]:
    """Row and seed of each session, one of each row after the other; rows with `only` in their name."""
    rows = [(row, seeds) for row in (*ROWS, *LEGAL)] + [(HEALTHY, healthy)]
    asked = [(row, seed) for row, times in rows if only in row.name for seed in range(1, times + 1)]
    return sorted(asked, key=lambda one: one[1])


def judged(asked: Iterable[tuple[Row, int]], jobs: int, needs_only: bool = False) -> list[Count]:
    """All sessions, some at a time, each told as it comes; Ctrl-C leaves out those not yet begun."""
    counts: dict[str, Count] = {}
    with ThreadPoolExecutor(jobs) as pool:
        futures = [(r, s, pool.submit(session, r, s, r.needs if needs_only else ())) for r, s in asked]
        try:
            for row, seed, future in futures:
                tell(row, seed, counts.setdefault(row.name, Count(row)), future.result())
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
    return [count for count in counts.values() if count.sessions]


def tell(row: Row, seed: int, count: Count, one: Seen) -> None:
    """Count a session, and print what it showed."""
    wrong = count.add(one)
    print(
        f"{row.name} (seed {seed}): {'; '.join(wrong) or 'as it should be'}, {one.seconds:.0f} s", flush=True
    )
    for word in one.red:
        print(f"    without a verdict: {word}", flush=True)
    if any(word.endswith(": error") for word in one.red):
        print(one.text[-3000:], flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Which check finds which planted fault.")
    parser.add_argument("--seeds", type=int, default=20, help="sessions of each fault")
    parser.add_argument("--healthy", type=int, default=100, help="sessions against a healthy server")
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--only", default="", help="rows with this in their name")
    parser.add_argument("--quick", action="store_true", help="only the tests that a row needs")
    parser.add_argument("--left", type=Path, help="counts are left here, for tests/power/fault_page.py")
    asked = parser.parse_args()
    found = judged(all_sessions(asked.seeds, asked.healthy, asked.only), asked.jobs, asked.quick)
    for count in found:
        print(count.told())
    if asked.left:
        leave(found, asked.left)
    return 1 if any(count.wrong for count in found) else 0


def leave(found: Sequence[Count], place: Path) -> None:
    machine = f"{platform.system()} with {os.cpu_count()} cores, Python {platform.python_version()}"
    where = {"date": datetime.date.today().isoformat(), "machine": machine}
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(where | {"rows": [count.as_json() for count in found]}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())

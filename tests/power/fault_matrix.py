"""Every planted fault against one acceptance suite: what finds it, and what else fails.

``python tests/power/fault_matrix.py [--jobs 2] [--only leak] [--left FILE [--resume]]``

Whether a fault is found is counted with the tests that its row needs, `--seeds` times; false alarms with the
whole suite, `--whole` times a row, and `--healthy` times against a server without a fault.
The whole suite is a pytest session of its own, against a simulator started by `--llm-serve`; the tests that
rows need run some rows a session, with the simulator started anew for each. Ctrl-C and SIGTERM end those
under way; what was counted stays in FILE, which `--resume` goes on with.
Exit status 1: a fault was not found, or a check failed that has no cause to; 130: it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fault_left import Left
from fault_rows import HEALTHY, LEGAL, ROWS, Row
from fault_sessions import Interrupted, Sessions

HERE = Path(__file__).parent
SUITE = HERE / "fault_suite.py.txt"
JOBS = max(1, (os.cpu_count() or 2) // 2)
"""Sessions at a time: more would be in each other's way."""
ROWS_A_SESSION = 9
"""Of the rows' own tests: a session takes a second or two to begin and to end."""


@dataclass(frozen=True)
class Seen:
    """What one session said.

    Attributes:
        exit: status of pytest.
        failed: checks whose verdict is "fail", or, without a verdict of their own, whose test failed.
        red: tests that failed with no check to blame.
        sentences: of the checks that failed.
        over: of those that are undecided and over their limit: the build fails for them too, but what a fault
            takes the evidence from is none of its alarms.
        text: all that was printed.
    """

    exit: int
    failed: frozenset[str]
    red: tuple[str, ...]
    sentences: dict[str, str]
    text: str = field(repr=False)
    seconds: float = 0.0
    over: dict[str, str] = field(default_factory=dict)


def serve_option(faults: Sequence[str], seed: int) -> str:
    """The simulator with these faults, as pytest is told to start it."""
    planted = "".join(f" --fault {fault}" for fault in faults)
    command = f"{sys.executable} -m pytest_llmserve.simulator --port {{port}} --slots 8"
    return f"--llm-serve={command} --seed {seed}{planted}"


def arguments(row: Row, seed: int, report: Path) -> list[str]:
    """Of pytest."""
    return [serve_option(row.faults, seed), *told(report, seed)]


def told(report: Path, seed: int) -> list[str]:
    """Options of any session."""
    return [f"--llm-report={report}", f"--hypothesis-seed={seed}", "-p", "no:cacheprovider", "-q"]


def session(sessions: Sessions, row: Row, seed: int) -> Seen:
    """Run the whole suite in a process of its own.

    Raises:
        Interrupted: it was ended before its end.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "test_suite.py").write_text(SUITE.read_text())
        (place / "pytest.ini").write_text("[pytest]\n")
        report = place / "report.json"
        begun = time.monotonic()
        command = [sys.executable, "-m", "pytest", *arguments(row, seed, report)]
        status, text = sessions.run(command, place)
        return seen(status, report, text, time.monotonic() - begun)


def of_rows(sessions: Sessions, rows: Sequence[Row], seed: int) -> dict[str, Seen]:
    """Row name -> what the tests that it needs have shown; one session, the server started anew for each row.

    Raises:
        Interrupted: it was ended before its end.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "pytest.ini").write_text("[pytest]\n")
        (place / "conftest.py").write_text(HERE.joinpath("fault_quickly.py").read_text())
        (place / "test_suite.py").write_text(SUITE.read_text())
        asked = [{"name": row.name, "faults": row.faults, "needs": row.needs} for row in rows]
        (place / "rows.json").write_text(json.dumps(asked))
        planted, report = place / "planted", place / "report.json"
        planted.touch()
        serve = f"--llm-serve={sys.executable} {HERE / 'fault_server.py'} {planted} {{port}} {seed}"
        _, text = sessions.run([sys.executable, "-m", "pytest", serve, *told(report, seed)], place)
        return seen_of_each(report, text)


def seen(status: int, report: Path, text: str, seconds: float = 0.0) -> Seen:
    """What a session left behind."""
    return of_tests(reported_in(report, text), status, text, seconds)


def seen_of_each(report: Path, text: str) -> dict[str, Seen]:
    """What a session left behind whose tests are named by their row: "test_load[leak:kb=100]"."""
    found: dict[str, list[Any]] = {}
    for test in reported_in(report, text):
        found.setdefault(test["nodeid"].partition("[")[2].removesuffix("]"), []).append(test)
    return {name: of_tests(tests, 0, text) for name, tests in found.items()}


def reported_in(report: Path, text: str) -> list[dict[str, Any]]:
    if not report.exists():
        raise AssertionError(f"the session wrote no report:\n{text}")
    found: list[dict[str, Any]] = json.loads(report.read_text())["tests"]
    return found


def of_tests(tests: Iterable[dict[str, Any]], status: int, text: str, seconds: float = 0.0) -> Seen:
    sentences: dict[str, str] = {}
    over: dict[str, str] = {}
    red: list[str] = []
    for test in tests:
        failing = {v["check"]: v["sentence"] for v in reversed(test["verdicts"]) if v["verdict"] == "fail"}
        over |= {v["check"]: v["sentence"] for v in reversed(test["verdicts"]) if is_over(v)}
        failing |= refusals(test)
        sentences |= failing
        if test["outcome"] in ("failed", "error") and not failing:
            red.append(red_of(test))
    return Seen(status, frozenset(sentences), tuple(red), sentences, text, seconds, over)


def is_over(verdict: dict[str, Any]) -> bool:
    """Undecided, and the figure found is over the limit: no figure at all is no finding."""
    return verdict["verdict"] == "undecided" and verdict["holds"] is False and verdict["estimate"] is not None


def refusals(test: dict[str, Any]) -> dict[str, str]:
    """What a test's own `assert` said no to: the calls that judge without a marker."""
    hostile = test.get("survival", {}).get("faults", [])
    left = [one for one in test.get("disconnects", ()) if one["faults"]]
    found = {"survives": hostile, "recovers_from_disconnects": left}
    return {check: faults[0]["what"] for check, faults in found.items() if faults}


def red_of(test: dict[str, Any]) -> str:
    undecided = [v["sentence"] for v in test["verdicts"] if v["verdict"] == "undecided"]
    return f"{test['nodeid'].rpartition('::')[2]}: {'; '.join(undecided) or test['outcome']}"


class Asked(NamedTuple):
    """One session: a row, a seed, and whether with the whole suite or with the tests that the row needs."""

    row: Row
    seed: int
    whole: bool

    @property
    def key(self) -> str:
        return f"{self.row.name} seed {self.seed} {'whole' if self.whole else 'own'}"


@dataclass
class Count:
    """Sessions of one row, counted.

    Attributes:
        sessions, found: with the tests that the row needs, and in how many of them the fault was found.
        whole: sessions with the whole suite.
        alarms, red: of both.
    """

    row: Row
    sessions: int = 0
    found: int = 0
    whole: int = 0
    alarms: Counter[str] = field(default_factory=Counter)
    red: Counter[str] = field(default_factory=Counter)
    sentence: str = ""
    seconds: float = 0.0

    def add(self, one: Seen, whole: bool = False) -> list[str]:
        """Count a session; returns what is wrong with it, in words."""
        row = self.row
        self.whole += whole
        self.sessions += not whole
        self.seconds += one.seconds
        found = (one.over | one.sentences).get(row.found_by or "")
        if found is not None:
            self.found += not whole
            self.sentence = self.sentence or found
        alarms = sorted(one.failed - row.also - {row.found_by})
        self.alarms.update(alarms)
        self.red.update(one.red)
        wrong = [f"{check}: {one.sentences[check]}" for check in alarms]
        if row.found_by is None:  # a fault that is found may take the evidence from other tests
            wrong += one.red
        elif found is None and not whole:  # tests before it may have used the fault up
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
        counted = {"sessions": self.sessions, "found": self.found, "whole": self.whole}
        return {"name": row.name, "found_by": row.found_by, **counted, "alarms": dict(self.alarms)} | {
            "sentence": self.sentence
        }

    def told(self) -> str:
        own = f"found {self.found} of {self.sessions}" if self.row.found_by else "nothing to find"
        alarms = ", ".join(f"{check} {times}" for check, times in self.alarms.items()) or "none"
        both = self.sessions + self.whole
        return (
            f"{self.row.name:32} {own:18} false alarms: {alarms} in {both}, {self.whole} of them whole"
            f"  red without a verdict: {sum(self.red.values())}  {self.seconds / max(1, both):.1f} s each"
        )


def all_sessions(seeds: int, whole: int, healthy: int, only: str = "") -> list[Asked]:
    """All that is to be run, one of each row after the other; rows with `only` in their name."""
    found = [Asked(row, seed, False) for row in ROWS for seed in range(1, seeds + 1)]
    found += [Asked(row, seed, True) for row in (*ROWS, *LEGAL) for seed in range(1, whole + 1)]
    found += [Asked(HEALTHY, seed, True) for seed in range(1, healthy + 1)]
    return sorted((one for one in found if only in one.row.name), key=lambda one: one.seed)


def judged(asked: Iterable[Asked], jobs: int, left: Left) -> tuple[list[Count], bool]:
    """(all that was counted, whether to the end); some sessions at a time, each told and left as it comes.

    Ctrl-C ends those under way and leaves out those not yet begun.
    """
    counts: dict[str, Count] = {}
    to_do = []
    for one in asked:
        count = counts.setdefault(one.row.name, Count(one.row))
        before = left.sessions.get(one.key)
        if before is None:
            to_do.append(one)
        else:
            count.add(of_json(before), one.whole)
    sessions, over = Sessions(), False
    with ThreadPoolExecutor(jobs) as pool:
        try:
            futures = {pool.submit(run, sessions, group): group for group in grouped(to_do)}
            for future in as_completed(futures):
                for one, found in zip(futures[future], future.result(), strict=True):
                    take(one, found, counts, left)
            over = True
        except (KeyboardInterrupt, Interrupted):
            pool.shutdown(wait=False, cancel_futures=True)
        finally:
            sessions.end()
    return [count for count in counts.values() if count.sessions + count.whole], over


def grouped(asked: Iterable[Asked]) -> list[list[Asked]]:
    """What one session each does: a whole suite, or the own tests of some rows, with one seed."""
    found: list[list[Asked]] = []
    rows: dict[int, list[Asked]] = {}
    for one in asked:
        if one.whole:
            found.append([one])
            continue
        group = rows.setdefault(one.seed, [])
        if not group or len(group) == ROWS_A_SESSION:
            group = rows[one.seed] = []
            found.append(group)
        group.append(one)
    return found


def run(sessions: Sessions, group: Sequence[Asked]) -> list[Seen]:
    """What each of a group has shown."""
    if group[0].whole:
        return [session(sessions, one.row, one.seed) for one in group]
    found = of_rows(sessions, [one.row for one in group], group[0].seed)
    return [found[one.row.name] for one in group]


def take(one: Asked, found: Seen, counts: dict[str, Count], left: Left) -> None:
    """Count a session, print what it showed, and leave both."""
    count = counts[one.row.name]
    tell(one, count.add(found, one.whole), found)
    left.add(one.key, as_json(found), [each.as_json() for each in counts.values()])


def as_json(one: Seen) -> dict[str, Any]:
    """What `of_json` makes the same of again, but for the text."""
    return {
        "exit": one.exit,
        "red": one.red,
        "sentences": one.sentences,
        "over": one.over,
        "seconds": round(one.seconds, 1),
    }


def of_json(told: dict[str, Any]) -> Seen:
    failed = frozenset(told["sentences"])
    return Seen(
        told["exit"], failed, tuple(told["red"]), told["sentences"], "", told["seconds"], told["over"]
    )


def tell(asked: Asked, wrong: Sequence[str], one: Seen) -> None:
    print(f"{asked.key}: {'; '.join(wrong) or 'as it should be'}, {one.seconds:.0f} s", flush=True)
    for word in one.red:
        print(f"    without a verdict: {word}", flush=True)
    if any(word.endswith(": error") for word in one.red):
        print(one.text[-3000:], flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Which check finds which planted fault.")
    parser.add_argument("--seeds", type=int, default=20, help="sessions of each fault with its own tests")
    parser.add_argument("--whole", type=int, default=2, help="sessions of each row with the whole suite")
    parser.add_argument("--healthy", type=int, default=100, help="the same against a healthy server")
    parser.add_argument("--jobs", type=int, default=JOBS, help="sessions at a time")
    parser.add_argument("--only", default="", help="rows with this in their name")
    parser.add_argument("--left", type=Path, help="counts are left here, for tests/power/fault_page.py")
    parser.add_argument("--resume", action="store_true", help="leave out what is counted there")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted = all_sessions(asked.seeds, asked.whole, asked.healthy, asked.only)
    found, over = judged(wanted, asked.jobs, Left(asked.left, asked.resume))
    for count in found:
        print(count.told())
    if not over:
        print("interrupted" + (f": --resume goes on from {asked.left}" if asked.left else ""))
        return 130
    return 1 if any(count.wrong for count in found) else 0


if __name__ == "__main__":
    sys.exit(main())

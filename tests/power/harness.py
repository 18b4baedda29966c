"""Verdicts over many simulated runs, given by the very code of the checks, and how often they are wrong.

``python tests/power/harness.py --process mm1-80 --runs 400 --requests 1000 --q p99``

A limit stands at a factor of the true quantile. Below it the limit is broken, and "pass" is wrong; above it
the limit is kept, and "fail" is wrong. `--until decided` judges growing prefixes of each run, as the load
engine does, until no verdict is undecided or the run is over.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import zlib
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from processes import PROCESSES, Process
from scipy import stats

from pytest_llmserve.checks import latency
from pytest_llmserve.checks.error_rate import ErrorRate
from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.goodput import Goodput
from pytest_llmserve.checks.latency import Latency
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.units import NS_PER_MS
from pytest_llmserve.domain.verdict import FAIL, PASS, UNDECIDED
from pytest_llmserve.stats import binomial, sequential


@contextmanager
def quick():
    """Several limits are judged of one run, whose series is the same each time.

    And the interval of a quantile is for people: it decides nothing, and takes most of the time of a look.
    """
    series_of = functools.lru_cache(64)(latency.series_of)
    with (
        mock.patch.object(latency, "series_of", series_of),
        mock.patch.object(sequential.Course, "value_bounds", return_value=(-math.inf, math.inf)),
    ):
        yield


JUST_KEPT, JUST_BROKEN = 1 + 1e-9, 1 - 1e-9
FACTORS = (0.5, 0.8, 0.95, JUST_BROKEN, JUST_KEPT, 1.05, 1.25, 2.0)
LENGTHS = (100, 300, 1000, 5000)
CHANCE = 1e-6
"""How likely verdicts that hold what they say are found to break it, in one cell."""
UNDER_WAY = 4
"""Requests that are still under way when a run is found decided: they are judged too."""


class Claim(NamedTuple):
    """A promise at a limit, and where the limit is just kept."""

    name: str
    check: Callable[[float], Any]
    truth: Callable[[Process], float]


def _quantile(q: float) -> Callable[[Process], float]:
    return lambda process: process.quantile(q)


CLAIMS: dict[str, Claim] = {
    claim.name: claim
    for claim in (
        Claim("p50", lambda limit: Latency(p50_ms=limit), _quantile(0.5)),
        Claim("p90", lambda limit: Latency(p90_ms=limit), _quantile(0.9)),
        Claim("p95", lambda limit: Latency(p95_ms=limit), _quantile(0.95)),
        Claim("p99", lambda limit: Latency(p99_ms=limit), _quantile(0.99)),
        Claim("goodput90", lambda limit: Goodput(min=0.9, e2e_ms=limit), _quantile(0.9)),
        Claim("goodput99", lambda limit: Goodput(min=0.99, e2e_ms=limit), _quantile(0.99)),
        Claim("errors", lambda limit: ErrorRate(max=limit), lambda process: process.failing),
    )
}


def claims_of(process: Process, names: Sequence[str]) -> list[Claim]:
    """Those that say something of this process: a limit on what is infinite, or on no failures, does not."""
    known = [CLAIMS[name] for name in names]
    return [claim for claim in known if 0 < claim.truth(process) < math.inf]


def records(sent_ms: Sequence[float], latency_ms: Sequence[float]) -> list[RequestRecord]:
    """Requests in the order of sending; one of infinite latency has failed."""
    made = []
    for number, (sent, late) in enumerate(zip(sent_ms, latency_ms, strict=True)):
        failed = math.isinf(late)
        sent_ns = round(sent * NS_PER_MS)
        end_ns = sent_ns + (0 if failed else round(late * NS_PER_MS))
        made.append(
            RequestRecord(
                id=number,
                scheduled_ns=sent_ns,
                sent_ns=sent_ns,
                first_byte_ns=None if failed else end_ns,
                end_ns=end_ns,
                token_ns=(),
                status=500 if failed else 200,
                outcome="http_5xx" if failed else "ok",
                error="planted" if failed else None,
                input_chars=1,
                output_chars=1,
                output_tokens=None if failed else 1,
                tokens_from=None if failed else "usage",
                finish_reason=None,
            )
        )
    return made


def plan(until: str | None) -> LoadPlan:
    return LoadPlan(users=8) if until is None else LoadPlan(users=8, until=until)


def judge(run: LoadResult, check: Any) -> str:
    """The verdict on the only limit of a check."""
    (verdict,) = check.judge(Evidence(runs=(run,)))
    return str(verdict.verdict)


def looks(n: int) -> Iterator[int]:
    """How many requests are known at each look: a tenth more each time, and twenty at least."""
    known = 20
    while known < n:
        yield known
        known = max(known + 20, math.ceil(1.1 * known))
    yield n


class Judged(NamedTuple):
    """A verdict, and how many requests it took."""

    verdict: str
    requests: int


def judge_fixed(made: list[RequestRecord], checks: Sequence[Any]) -> list[Judged]:
    run = LoadResult(plan(None), made, GeneratorHealth())
    return [Judged(judge(run, check), len(made)) for check in checks]


def judge_until(made: list[RequestRecord], checks: Sequence[Any]) -> list[Judged]:
    """Each check for itself; what is decided at one look is so at all later ones: the first is bisected."""
    places = list(looks(len(made)))
    runs = [LoadResult(plan("decided"), made[:known], GeneratorHealth()) for known in places]
    found = []
    for check in checks:
        if judge(runs[-1], check) == UNDECIDED:
            found.append(Judged(UNDECIDED, len(made)))
            continue
        least = bisect(range(len(runs) - 1), False, key=lambda at: judge(runs[at], check) != UNDECIDED)
        found.append(ended(made, places[least], check))
    return found


def judge_each_look(made: list[RequestRecord], checks: Sequence[Any]) -> list[Judged]:
    """The same, look by look as the load engine does it."""
    found = []
    for check in checks:
        for known in looks(len(made)):
            if judge(LoadResult(plan("decided"), made[:known], GeneratorHealth()), check) != UNDECIDED:
                found.append(ended(made, known, check))
                break
        else:
            found.append(Judged(UNDECIDED, len(made)))
    return found


def ended(made: list[RequestRecord], known: int, check: Any) -> Judged:
    """The verdict of a run that was found decided: on what was still under way too."""
    sent = min(len(made), known + UNDER_WAY)
    return Judged(judge(LoadResult(plan("decided"), made[:sent], GeneratorHealth()), check), sent)


@dataclass
class Cell:
    """Verdicts on one claim about one process, with its limit at a factor of the truth."""

    process: str
    requests: int
    claim: str
    factor: float
    passed: int = 0
    failed: int = 0
    undecided: int = 0
    used: int = 0

    def count(self, judged: Judged) -> None:
        self.passed += judged.verdict == PASS
        self.failed += judged.verdict == FAIL
        self.undecided += judged.verdict == UNDECIDED
        self.used += judged.requests

    @property
    def runs(self) -> int:
        return self.passed + self.failed + self.undecided

    @property
    def wrong(self) -> int:
        """Passed though broken, or failed though kept."""
        return self.passed if self.factor < 1 else self.failed

    @property
    def wrong_interval(self) -> tuple[float, float]:
        """Clopper-Pearson, 95 %."""
        return binomial.interval(self.wrong, self.runs, 0.95)

    @property
    def kind(self) -> str:
        names = {JUST_KEPT: "just kept", JUST_BROKEN: "just broken"}
        return names.get(self.factor, f"x {self.factor:g}")


def most_wrong(rate: float, runs: int) -> int:
    """Wrong verdicts of so many runs: verdicts wrong at `rate` give more once in a million times."""
    return int(stats.binom.isf(CHANCE, runs, rate))


@dataclass(frozen=True)
class Question:
    """What to simulate."""

    process: str
    requests: int
    runs: int
    claims: tuple[str, ...] = ("p50", "p90", "p99")
    factors: tuple[float, ...] = FACTORS
    until: str | None = None
    seed: int = 1


@quick()
def answer(question: Question) -> list[Cell]:
    """Simulate and judge; the same question has the same answer."""
    process = PROCESSES[question.process]
    cells, checks = [], []
    for claim in claims_of(process, question.claims):
        for factor in question.factors:
            # A share that fails may be as high as the limit, so for it too a factor over 1 is a limit kept.
            cells.append(Cell(process.name, question.requests, claim.name, factor))
            checks.append(claim.check(claim.truth(process) * factor))
    if not checks:
        return []
    verdicts = judge_fixed if question.until is None else judge_until
    for latencies, sent in _draws(process, question):
        for cell, judged in zip(cells, verdicts(records(sent, latencies), checks), strict=True):
            cell.count(judged)
    return cells


def _draws(process: Process, question: Question) -> Iterator[tuple[list[float], list[float]]]:
    """Latencies and times of sending of each run."""
    seed = np.random.SeedSequence([question.seed, zlib.crc32(process.name.encode()), question.requests])
    drawn = process.draw(np.random.default_rng(seed), question.runs, question.requests)
    for latencies, sent in zip(drawn.latency, drawn.sent, strict=True):
        yield latencies.tolist(), sent.tolist()


def answers(questions: Sequence[Question], jobs: int) -> Iterator[list[Cell]]:
    """All of them in their order, on so many cores."""
    if jobs == 1:
        yield from map(answer, questions)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(answer, questions)


def told(cell: Cell) -> str:
    """One line for people."""
    low, high = cell.wrong_interval
    shares = [count / cell.runs for count in (cell.passed, cell.failed, cell.undecided, cell.wrong)]
    said = " ".join(f"{share:7.1%}" for share in shares)
    return (
        f"{cell.process:16} {cell.requests:5} {cell.claim:9} {cell.kind:11} {said}  ({low:.1%} to {high:.1%})"
        f" {cell.used / cell.runs:6.0f}"
    )


HEAD = (
    f"{'process':16} {'n':>5} {'claim':9} {'limit':11} {'pass':>7} {'fail':>7} {'undec.':>7} {'wrong':>7}"
    f"  {'95% interval':15} requests"
)


def factors_of(text: str) -> Iterator[float]:
    """Numbers; "just" is a hair below 1 and a hair above."""
    for word in text.split(","):
        yield from (JUST_BROKEN, JUST_KEPT) if word == "just" else (float(word),)


def main() -> None:
    parser = argparse.ArgumentParser(description="How often verdicts over simulated runs are wrong.")
    parser.add_argument(
        "--process", default="mm1-80", help=f"comma separated, or all: {', '.join(PROCESSES)}"
    )
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--requests", default="1000", help="comma separated")
    parser.add_argument("--q", default="p99", help=f"comma separated: {', '.join(CLAIMS)}")
    parser.add_argument(
        "--factors", help="of the true quantile, comma separated; just = a hair below and above"
    )
    parser.add_argument("--until", choices=["decided"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    factors = tuple(factors_of(asked.factors)) if asked.factors else FACTORS
    names = list(PROCESSES) if asked.process == "all" else asked.process.split(",")
    if unknown := [name for name in names if name not in PROCESSES]:
        parser.error(f"no process {', '.join(unknown)}: one of {', '.join(PROCESSES)}")
    questions = [
        Question(name, int(n), asked.runs, tuple(asked.q.split(",")), factors, asked.until, asked.seed)
        for name in names
        for n in asked.requests.split(",")
    ]
    print(HEAD)
    for cells in answers(questions, asked.jobs):
        for cell in cells:
            print(told(cell), flush=True)


if __name__ == "__main__":
    main()

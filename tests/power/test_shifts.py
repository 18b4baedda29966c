"""Verdicts on differences hold: simulated servers through the real statistics and checks.

A server as it was is called slower in at most 5 % of runs, and one slower by just the limit is called
within it, or over it, in at most 5 %: with independent requests, with neighbours alike, in a queue.
One slower by twice the limit is found where there are requests enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.measured import measurement_of
from pytest_llmserve.checks.no_degradation import NoDegradation
from pytest_llmserve.checks.no_regression import NoRegression
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.units import NS_PER_MS
from pytest_llmserve.domain.verdict import FAIL, PASS
from pytest_llmserve.stats.shift import quantile_shift

Server = Callable[[np.random.Generator, int], np.ndarray]
"""Draws so many latencies in ms, in the order of sending."""


def correlated(r: float) -> Server:
    """Lognormal, neighbours correlated by r."""

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        steps = rng.standard_normal(n + 500)
        return 100 * np.exp(0.3 * lfilter([np.sqrt(1 - r * r)], [1, -r], steps)[500:])

    return draw


def queue(load: float) -> Server:
    """M/M/1, by Lindley's recursion; its first 3,000 answers are its warm-up."""

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        service = rng.exponential(1.0, n + 3000)
        arrival = rng.exponential(1 / load, n + 3000)
        walk = np.concatenate([[0.0], np.cumsum(service[:-1] - arrival[1:])])
        return 10 * (walk - np.minimum.accumulate(walk) + service)[-n:]

    return draw


SERVERS: dict[str, Server] = {
    "independent": correlated(0.0),
    "neighbours alike": correlated(0.9),
    "queue at 50 %": queue(0.5),
    "queue at 80 %": queue(0.8),
}


def at_most(share: float, runs: int) -> int:
    """What a true share of so much exceeds in one of a thousand proofs."""
    return int(binom.ppf(0.999, runs, share))


def wrongs(server: Server, n: int, q: float, runs: int) -> Counter[str]:
    """Wrong statements on servers that differ by nothing."""
    rng, told = np.random.default_rng(n + round(100 * q)), Counter[str]()
    for _ in range(runs):
        shift = quantile_shift(server(rng, n), server(rng, n), q)
        slower, quicker = shift.p_at_least(0), shift.p_at_most(0)
        told["slower"] += slower <= 0.05
        told["quicker"] += quicker <= 0.05
        told["another"] += min(slower, quicker) <= 0.025
    return told


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("q", [0.5, 0.95])
def test_servers_that_differ_by_nothing_are_seldom_told_apart(name, q):
    told = wrongs(SERVERS[name], 400, q, runs=150)
    assert max(told.values()) <= at_most(0.05, 150)


@pytest.mark.proof
@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [100, 300, 1000, 2000])
def test_servers_that_differ_by_nothing_are_told_apart_in_5_percent_at_most(name, q, n):
    told = wrongs(SERVERS[name], n, q, runs=1000)
    assert max(told.values()) <= at_most(0.05, 1000)


@pytest.mark.parametrize(("q", "n"), [(0.5, 1500), (0.95, 3000)])
def test_twice_the_limit_is_found_where_there_are_requests_enough(q, n):
    server, rng = SERVERS["independent"], np.random.default_rng(5)
    found = sum(
        quantile_shift(server(rng, n), 1.2 * server(rng, n), q).p_at_least(0.1) <= 0.05 for _ in range(100)
    )
    assert found >= 95


def run_of(latencies_ms: np.ndarray) -> LoadResult:
    """A finished run of these, one sent each 10 ms."""
    records = []
    for number, latency in enumerate(latencies_ms):
        sent_ns = number * 10 * NS_PER_MS
        end_ns = sent_ns + round(float(latency) * NS_PER_MS)
        records.append(
            RequestRecord(
                id=number,
                scheduled_ns=sent_ns,
                sent_ns=sent_ns,
                first_byte_ns=end_ns,
                end_ns=end_ns,
                token_ns=(end_ns,),
                status=200,
                outcome="ok",
                error=None,
                input_chars=1,
                output_chars=1,
                output_tokens=1,
                tokens_from="usage",
                finish_reason="stop",
            )
        )
    steady_ns = (0, len(records) * 10 * NS_PER_MS)
    return LoadResult(LoadPlan(users=4), records, GeneratorHealth(), steady_ns=steady_ns)


def later(server: Server, factor: float, decay: bool = False) -> Server:
    """The same, so much slower from the middle on, or, decaying, by the end."""

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        level = np.linspace(1, factor, n) if decay else np.where(np.arange(n) < n // 2, 1.0, factor)
        return server(rng, n) * level

    return draw


def degradations(server: Server, n: int, runs: int) -> Counter[str]:
    rng, told = np.random.default_rng(n), Counter[str]()
    for _ in range(runs):
        verdicts = NoDegradation(percent=10).judge(Evidence(runs=(run_of(server(rng, n)),)))
        told["fail"] += any(v.verdict == FAIL for v in verdicts)
        told["pass"] += all(v.verdict == PASS for v in verdicts)
        told["test fails"] += any(v.fails(strict=False) for v in verdicts)
    return told


@pytest.mark.parametrize("name", ["independent", "queue at 50 %"])
def test_no_degradation_leaves_a_steady_server_alone(name):
    """Also where it is undecided, the test does not fail for what chance explains."""
    told = degradations(SERVERS[name], 800, runs=60)
    assert told["fail"] <= at_most(0.05, 60)
    assert told["test fails"] <= at_most(0.05, 60)


def test_no_degradation_finds_a_decay_of_20_percent():
    told = degradations(later(SERVERS["independent"], 1.2, decay=True), 12_000, runs=20)
    assert told["fail"] >= 19


@pytest.mark.proof
@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("n", [400, 2000])
def test_no_degradation_is_wrong_in_5_percent_at_most(name, n):
    steady = degradations(SERVERS[name], n, runs=400)
    assert steady["fail"] <= at_most(0.05, 400)
    assert steady["test fails"] <= at_most(0.07 if "queue" in name else 0.05, 400)
    at_the_limit = degradations(later(SERVERS[name], 1.1), n, runs=400)
    assert at_the_limit["fail"] <= at_most(0.05, 400)
    assert at_the_limit["pass"] <= at_most(0.05, 400)


def regressions(server: Server, slower: Server, n: int, runs: int) -> Counter[str]:
    rng, told = np.random.default_rng(n), Counter[str]()
    check = NoRegression(percent=10, metrics=("e2e_p50", "e2e_p95", "error_rate"))
    for _ in range(runs):
        kept = measurement_of(run_of(server(rng, n)), name="main")
        verdicts = check.judge(Evidence(runs=(run_of(slower(rng, n)),), baselines=(kept,)))
        told["fail"] += any(v.verdict == FAIL for v in verdicts)
        told["pass"] += all(v.verdict == PASS for v in verdicts)
        told["test fails"] += any(v.fails(strict=False) for v in verdicts)
    return told


def slowed(server: Server, factor: float) -> Server:
    return lambda rng, n: factor * server(rng, n)


def test_no_regression_tells_a_slower_server_from_one_as_it_was():
    server = SERVERS["independent"]
    same = regressions(server, server, 2000, runs=12)
    assert same["test fails"] <= at_most(0.05, 12)
    assert same["pass"] >= 8
    assert regressions(server, slowed(server, 1.2), 2000, runs=12)["fail"] >= 11


@pytest.mark.proof
@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("n", [300, 1000])
def test_no_regression_is_wrong_in_5_percent_at_most(name, n):
    server = SERVERS[name]
    same = regressions(server, server, n, runs=400)
    assert same["test fails"] <= at_most(0.07 if "queue" in name else 0.05, 400)
    at_the_limit = regressions(server, slowed(server, 1.1), n, runs=400)
    assert at_the_limit["fail"] <= at_most(0.05, 400)
    assert at_the_limit["pass"] <= at_most(0.05, 400)

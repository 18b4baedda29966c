"""How the benchmark compares and judges."""

from __future__ import annotations

import json
import sys

import pytest


@pytest.fixture
def accuracy(benchmark_module):
    return benchmark_module("accuracy")


def comparison(accuracy, told_ms, busy=0, cpu_us=10.0, client="engine"):
    pairs = tuple((50.0, told) for told in told_ms)
    return accuracy.Comparison(client, 64, busy, pairs, cpu_us)


def test_errors_are_reported_minus_true(accuracy):
    """Quantiles are compared with quantiles, the worst request with itself."""
    row = comparison(accuracy, [50.1] * 98 + [51.0, 48.0])
    assert row.error(0.5) == pytest.approx(0.1)
    assert row.error(0.99) == pytest.approx(0.1)
    assert row.worst == pytest.approx(-2.0)


@pytest.mark.parametrize(("told", "kept"), [(51.9, True), (52.0, True), (52.1, False), (47.9, False)])
def test_bound_of_the_p99_error(accuracy, told, kept):
    """2 ms to either side, with and without neighbours."""
    faults = accuracy.out_of_bounds([comparison(accuracy, [told] * 100, busy=3)])
    assert (faults == []) is kept


def test_sentences(accuracy):
    """Each fault says what, how much, the bound, and where."""
    assert accuracy.out_of_bounds([comparison(accuracy, [53.5] * 10, cpu_us=21.0)]) == [
        "TTFT p99 is off by 3.500 ms > 2.0 ms (64 users, 0 busy processes)",
        "21.0 us of CPU a chunk > 20.0 us (64 users, 0 busy processes)",
    ]


def test_other_clients_are_not_judged(accuracy):
    """A peer is shown for comparison only."""
    assert accuracy.out_of_bounds([comparison(accuracy, [500.0] * 10, cpu_us=500.0, client="httpx")]) == []


@pytest.mark.parametrize(
    "found",
    [
        {"ttft_ms": {"a": 50.0}, "failed": 1, "chunks": 1, "cpu_s": 1.0},
        {"ttft_ms": {"b": 50.0}, "failed": 0, "chunks": 1, "cpu_s": 1.0},
        {"ttft_ms": {}, "failed": 0, "chunks": 0, "cpu_s": 1.0},
    ],
)
def test_a_broken_run_tells_nothing(accuracy, benchmark_module, found):
    """A failure, a request unknown to the server, or no request at all ends the benchmark."""
    served = [benchmark_module("timed_server").Served("a", 0, ((50_000_000, 50_000_001),))]
    with pytest.raises(RuntimeError, match=r"engine: .* the run tells nothing"):
        accuracy.compare("engine", 64, 0, found, served)


@pytest.mark.skipif(sys.platform != "linux", reason="pins processes to cores")
@pytest.mark.parametrize("client", ["httpx", "engine"])
def test_clients_and_server_name_the_same_requests(accuracy, benchmark_module, tmp_path, client):
    """A small run of each client: every request found on both sides, every chunk counted."""
    timed = benchmark_module("timed_server")
    with timed.running(tmp_path, "--tokens", 5, "--ttft-ms", 5, "--itl-ms", 2) as (url, log):
        found = accuracy.run_client(client, url, users=4, requests=12, folder=tmp_path, cpu=0)
    row = accuracy.compare(client, 4, 0, found, timed.read_log(log))
    assert len(row.pairs) == 12
    assert found["chunks"] == (12 * 5 if client == "httpx" else 12 * 5 - 5)
    # A client cannot see a token before it was sent; 5 ms for the time the send call itself may take.
    assert all(told > served - 5 for served, told in row.pairs), json.dumps(row.pairs)

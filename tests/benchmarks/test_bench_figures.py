"""How a client's findings are matched with the server's record."""

from __future__ import annotations

import math
import random

import pytest

MS = 1_000_000


@pytest.fixture
def figures(benchmark_module):
    return benchmark_module("figures")


@pytest.fixture
def make(benchmark_module):
    """``make(found, served)`` -> Figures of a run of 10 s that took 3 s of CPU, 1 s of it start-up."""
    figures, usage = benchmark_module("figures"), benchmark_module("usage").Usage
    scenario = benchmark_module("scenarios").Scenario("A", "test")

    def build(found, served, scenario=scenario):
        used = usage(cpu_s=3.0, wall_s=10.0, peak_rss_bytes=5_000_000, others_cpu_s=0.5)
        found = {"failed": 0, "sends": [], **found}
        return figures.figures("engine", scenario, found, served, used, figures.StartUp(1.0, 0.5))

    return build


@pytest.fixture
def record(benchmark_module):
    """``record("a", 1.0, 50, tokens=3)``: received at that second, tokens 20 ms apart after so many ms."""

    def build(name, received_s, ttft_ms, tokens=2):
        at_ns = round(received_s * 1e9)
        sends = tuple((at_ns + (ttft_ms + 20 * i) * MS,) * 2 for i in range(tokens))
        return benchmark_module("timed_server").Served(name, at_ns, sends)

    return build


def test_errors_are_the_clients_quantile_less_the_servers(make, record):
    """Matched by id: a request that both saw, whatever the order; the worst keeps its sign."""
    served = [record(f"{i}", i, 50) for i in range(100)]
    rows = [[f"{i}", 50.1, 2, 10] for i in range(100)]
    rows[7][1], rows[8][1] = 48.0, 51.0
    row = make({"requests": list(reversed(rows))}, served)
    assert row.error_p50_ms == pytest.approx(0.1)
    assert row.error_p99_ms == pytest.approx(0.1)
    assert row.worst_ms == pytest.approx(-2.0)
    assert row.accounted is None


def test_cost_is_all_cpu_less_the_start_up(make, record):
    """By chunk and by request of the server's record, not of what the client says."""
    row = make({"requests": [["a", 50, 4, 20]]}, [record("a", 0, 50, tokens=4)])
    assert row.cpu_us_per_chunk == pytest.approx(2e6 / 4)
    assert row.cpu_us_per_request == pytest.approx(2e6)
    assert (row.peak_rss_mb, row.others_percent) == (5.0, pytest.approx(5.0))


def test_requests_a_second_are_the_servers(make, record):
    """From the first receipt to the last send."""
    served = [record("a", 0, 1000, tokens=1), record("b", 1, 1000, tokens=1)]
    assert make({"requests": [["a", 1, 1, 5], ["b", 1, 1, 5]]}, served).requests_per_s == pytest.approx(1.0)


def test_without_ids_quantiles_stand_beside_quantiles(make, record):
    """No worst request then, nothing to account for, and some more requests on one side change nothing."""
    served = [record(f"{i}", i, 50) for i in range(110)]
    row = make({"requests": [[None, 51.0, 0, 0]] * 100}, served)
    assert (row.error_p50_ms, row.error_p99_ms) == (1.0, 1.0)
    assert math.isnan(row.worst_ms)
    assert row.accounted is None


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"requests": [["a", 50, 2, 10]], "failed": 1},
            "engine: 1 answered, 1 failed, 0 unknown to the server ()",
        ),
        ({"requests": [["b", 50, 2, 10]]}, "engine: 1 answered, 0 failed, 1 unknown to the server (b)"),
        ({"requests": []}, "engine: 0 answered, 0 failed, 0 unknown to the server ()"),
    ],
)
def test_a_broken_run_tells_nothing(make, record, found, said):
    """A failure, a request unknown to the server, or no request at all ends the benchmark."""
    with pytest.raises(RuntimeError) as caught:
        make(found, [record("a", 0, 50)])
    assert str(caught.value) == f"{said}: the run tells nothing"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["a", 50, 2, 10], ["b", 50, 2, 10]], None),
        ([["a", 50, 2, 10]], "of 2 requests 1 lost"),
        (
            [["a", 50, 2, 10], ["b", 50, 2, 10], ["b", 50, 2, 10]],
            "of 2 requests 1 unknown to the server, 1 twice",
        ),
        ([["a", 50, 1, 10], ["b", 50, 2, 9]], "of 2 requests 2 with other chunks or bytes"),
    ],
)
def test_every_request_chunk_and_byte_is_accounted_for(figures, record, rows, said):
    """What is lost, doubled or cut is counted and told."""
    assert figures.unaccounted(rows, [record("a", 0, 50), record("b", 0, 50)]) == said


def test_open_loop_figures(figures, record):
    """Lag from the schedule, a request never sent counts as infinitely late, the rate is that of arrivals."""
    sends = [(i * MS, (i + 2) * MS) for i in range(101)]
    served = [record(f"{i}", i * 0.00101, 1) for i in range(101)]
    found = figures.open_loop(sends, served, rate=1000.0)
    assert found["send_lag_p99_ms"] == 2.0
    assert found["rate_error_percent"] == pytest.approx(100 * (1 / 1.01 - 1))
    assert found["ks_p_value"] < 1e-6, "even gaps are not exponential"
    late = [*sends[:50], *((due, None) for due, _ in sends[50:])]
    assert figures.open_loop(late, served, rate=1000.0)["send_lag_p99_ms"] == math.inf


def test_exponential_gaps_pass_and_a_wrong_rate_does_not(figures):
    """The mean is the asked one, not that of the gaps."""
    gaps = [random.Random(7).expovariate(1.0)] + [
        g for r in [random.Random(8)] for g in (r.expovariate(1.0) for _ in range(4000))
    ]
    assert figures.exponential_p_value(gaps, 1.0) > 0.01
    assert figures.exponential_p_value(gaps, 1.2) < 0.01


def test_median_of_runs(figures, make, record):
    """Each figure by itself; a run that misses something is not outvoted."""
    served = [record("a", 0, 50)]
    runs = [make({"requests": [["a", told, 2, 10]]}, served) for told in (50.5, 50.1, 53.0)]
    runs.append(make({"requests": [["a", 50.5, 1, 10]]}, served))
    middle = figures.median_of(runs)
    assert middle.error_p99_ms == pytest.approx(0.5)
    assert middle.n == 4
    assert middle.accounted == "of 1 requests 1 with other chunks or bytes"
    assert middle.each_us_per_request == (2e6,) * 4


def test_one_run_with_other_stamps_is_not_outvoted(figures, make, record):
    """Stamps of the kernel in two runs of three are mixed stamps."""
    served = [record("a", 0, 50)]
    runs = [
        make({"requests": [["a", 50.5, 2, 10]], "clock": clock}, served)
        for clock in ("kernel", "kernel", "user")
    ]
    assert figures.median_of(runs[:2]).clock == "kernel"
    assert figures.median_of(runs).clock == "mixed"

"""What the benchmark holds the engine to."""

from __future__ import annotations

import dataclasses

import pytest


@pytest.fixture
def bounds(benchmark_module):
    return benchmark_module("bounds")


@pytest.fixture
def row(benchmark_module):
    """``row(cpu_us_per_chunk=14.0)``: figures of an engine that keeps all bounds, but for what is given."""
    good = {
        "client": "engine",
        "n": 100,
        "server_p99_ms": 50.0,
        "error_p50_ms": 0.0,
        "error_p99_ms": 0.0,
        "worst_ms": 0.0,
        "cpu_us_per_chunk": 10.0,
        "cpu_us_per_request": 40.0,
        "requests_per_s": 20000.0,
        "peak_rss_mb": 50.0,
        "others_percent": 0.0,
        "send_lag_p99_ms": 1.0,
        "rate_error_percent": 0.1,
        "ks_p_value": 0.5,
    }
    return lambda **changed: benchmark_module("figures").Figures(**{**good, **changed})


@pytest.fixture
def scenario(benchmark_module):
    """``scenario("A")``, ``scenario("W", 1)``: a row of the table."""
    table = benchmark_module("scenarios").SCENARIOS
    return lambda letter, place=0: [s for s in table if s.letter == letter][place]


@pytest.mark.parametrize(
    ("letter", "figure", "kept", "broken", "sentence"),
    [
        ("A", "error_p99_ms", 0.5, -0.51, "A: TTFT p99 is off by -0.51 ms, more than 0.5 ms"),
        ("B", "error_p99_ms", -2.0, 2.01, "B: TTFT p99 is off by 2.01 ms, more than 2 ms"),
        ("C", "error_p99_ms", 1.0, 1.01, "C: TTFT p99 is off by 1.01 ms, more than 1 ms"),
        ("C", "error_p50_ms", 0.2, -0.21, "C: TTFT p50 is off by -0.21 ms, more than 0.2 ms"),
        ("B", "cpu_us_per_chunk", 13.0, 13.1, "B: CPU of a chunk is 13.1 us, more than 13 us"),
        ("D", "cpu_us_per_request", 45.0, 45.1, "D: CPU of a request is 45.1 us, more than 45 us"),
        ("O", "send_lag_p99_ms", 2.0, float("inf"), "O: send lag p99 is inf ms, more than 2 ms"),
        ("O", "rate_error_percent", -0.5, -0.6, "O: the rate is off by -0.6 %, more than 0.5 %"),
        (
            "O",
            "ks_p_value",
            0.01,
            0.009,
            "O: the gaps of the schedule are exponential with p 0.009, less than 0.01",
        ),
    ],
)
def test_bound(bounds, row, scenario, letter, figure, kept, broken, sentence):
    """Held at the bound, broken beyond it, with a sentence of what and how much; no number breaks it too."""

    def judged(value):
        return bounds.judge({scenario(letter): [row(**{figure: value})]}).broken

    assert judged(kept) == ()
    assert judged(broken) == (sentence,)
    assert len(judged(float("nan"))) == 1


@pytest.mark.parametrize(
    ("letter", "peer", "figure", "kept", "broken", "sentence"),
    [
        (
            "A",
            "aiohttp",
            "cpu_us_per_chunk",
            20.0,
            18.0,
            "A: CPU of a chunk is 0.556 times that of aiohttp, more than 0.55",
        ),
        (
            "B",
            "httpx",
            "cpu_us_per_chunk",
            100.0,
            99.0,
            "B: CPU of a chunk is 0.101 times that of httpx, more than 0.1",
        ),
        (
            "D",
            "aiohttp",
            "requests_per_s",
            6600.0,
            6800.0,
            "D: requests a second is 2.94 times that of aiohttp, less than 3",
        ),
    ],
)
def test_ratio(bounds, row, scenario, letter, peer, figure, kept, broken, sentence):
    """Against a peer of the same run."""

    def judged(value):
        return bounds.judge({scenario(letter): [row(), row(client=peer, **{figure: value})]}).broken

    assert judged(kept) == ()
    assert judged(broken) == (sentence,)


def test_cost_is_not_judged_beside_others(bounds, row, scenario):
    """A core that others used says nothing of what a chunk costs; how exact the stamps are it does say."""
    found = bounds.judge({scenario("A"): [row(cpu_us_per_chunk=20.0, error_p99_ms=1.0, others_percent=11.0)]})
    assert found.broken == ("A: TTFT p99 is off by 1 ms, more than 0.5 ms",)
    assert found.unjudged == (
        "A: CPU of a chunk is 20 us, more than 13 us, but others used 11 % of the core meanwhile",
    )


def test_ratios_are_not_judged_beside_others(bounds, row, scenario):
    """Neither when the engine was disturbed nor when its peer was: they run one after the other."""
    said = "A: CPU of a chunk is 1 times that of aiohttp, more than 0.55, but others used the core meanwhile"
    for engine, peer in ((11.0, 0.0), (0.0, 11.0)):
        rows = [row(others_percent=engine), row(client="aiohttp", others_percent=peer)]
        found = bounds.judge({scenario("A"): rows})
        assert (found.broken, found.unjudged) == ((), (said,))


def test_other_clients_are_not_judged(bounds, row, scenario):
    """A peer is shown for comparison only."""
    assert bounds.judge({scenario("A"): [row(client="httpx", error_p99_ms=500.0)]}).broken == ()


def test_two_workers(bounds, row, scenario):
    """Twice the capacity within 3 %; a disturbed run is not judged."""
    one, two = scenario("W", 0), scenario("W", 1)

    def rows(cost, others=0.0):
        return {one: [row()], two: [row(cpu_us_per_request=cost, others_percent=others)]}

    assert bounds.workers_times(rows(40.0)) == 2.0
    assert bounds.judge(rows(41.0)).broken == ()
    sentence = "W: two workers do 1.86 times what one does, not 2 times within 3 %"
    assert bounds.judge(rows(43.0)).broken == (sentence,)
    found = bounds.judge(rows(43.0, others=20.0))
    assert (found.broken, found.unjudged) == ((), (f"{sentence}, but others used the core meanwhile",))
    assert bounds.workers_times({one: [row()]}) is None


def test_tls(bounds, row, scenario):
    """At most twice the CPU."""
    plain, tls = scenario("T", 0), scenario("T", 1)
    assert bounds.judge({plain: [row()], tls: [row(cpu_us_per_chunk=20.0)]}).broken == ()
    assert bounds.judge({plain: [row()], tls: [row(cpu_us_per_chunk=21.0)]}).broken == (
        "T: CPU of a chunk under TLS is 2.1 times that without, more than 2",
    )
    assert bounds.tls_times({plain: [row()]}) is None


def test_what_is_not_accounted_for_breaks_a_bound(bounds, row, scenario):
    """In every scenario."""
    lossy = dataclasses.replace(row(), accounted="of 2 requests 1 lost")
    assert bounds.judge({scenario("S"): [lossy]}).broken == ("S: of 2 requests 1 lost",)

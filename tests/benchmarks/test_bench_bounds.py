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
        "clock": "kernel",
    }
    return lambda **changed: benchmark_module("figures").Figures(**{**good, **changed})


@pytest.fixture
def scenario(benchmark_module):
    """``scenario("A")``, ``scenario("W", 1)``: a row of the table; A and B have their awake rows at 1."""
    table = benchmark_module("scenarios").SCENARIOS
    return lambda letter, place=0: [s for s in table if s.letter == letter][place]


@pytest.fixture
def judged(bounds):
    """``judged(rows)``: with no more asked for than these."""
    return lambda rows: bounds.judge(rows, ())


@pytest.mark.parametrize(
    ("letter", "figure", "kept", "broken", "sentence"),
    [
        ("A", "error_p99_ms", 0.5, -0.51, "A: TTFT p99 is off by -0.51 ms, more than 0.5 ms"),
        ("B", "error_p99_ms", -2.0, 2.01, "B: TTFT p99 is off by 2.01 ms, more than 2 ms"),
        ("C", "error_p99_ms", 1.0, 1.01, "C: TTFT p99 is off by 1.01 ms, more than 1 ms"),
        ("C", "error_p50_ms", 0.2, -0.21, "C: TTFT p50 is off by -0.21 ms, more than 0.2 ms"),
        ("S", "error_p99_ms", 2.0, -2.01, "S: TTFT p99 is off by -2.01 ms, more than 2 ms"),
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
def test_bound(judged, row, scenario, letter, figure, kept, broken, sentence):
    """Held at the bound, broken beyond it, with a sentence of what and how much; no number breaks it too."""

    def of(value):
        return judged({scenario(letter): [row(**{figure: value})]}).broken

    assert of(kept) == ()
    assert of(broken) == (sentence,)
    assert len(of(float("nan"))) == 1


@pytest.mark.parametrize("letter", ["A", "B"])
def test_a_chunk_is_priced_where_the_core_is_kept_awake(judged, row, scenario, letter):
    """A core that sleeps makes the same work dearer; how exact the stamps are is judged on both rows."""
    asleep, awake = scenario(letter, 0), scenario(letter, 1)
    assert judged({asleep: [row(cpu_us_per_chunk=30.0)]}).broken == ()
    assert judged({awake: [row(cpu_us_per_chunk=13.0)]}).broken == ()
    sentence = f"{letter}, core kept awake: CPU of a chunk is 13.1 us, more than 13 us"
    assert judged({awake: [row(cpu_us_per_chunk=13.1)]}).broken == (sentence,)
    assert len(judged({asleep: [row(error_p99_ms=3.0)], awake: [row(error_p99_ms=3.0)]}).broken) == 2


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
def test_ratio(judged, row, scenario, letter, peer, figure, kept, broken, sentence):
    """Against a peer of the same run."""

    def of(value, place):
        return judged({scenario(letter, place): [row(), row(client=peer, **{figure: value})]}).broken

    assert of(kept, 0) == ()
    assert of(broken, 0) == (sentence,)
    if letter in "AB":
        assert of(broken, 1) == (sentence.replace(":", ", core kept awake:", 1),)


def test_cost_is_not_judged_beside_others(judged, row, scenario):
    """A core that others used says nothing of what a chunk costs; how exact the stamps are it does say."""
    rows = [row(cpu_us_per_chunk=20.0, error_p99_ms=1.0, others_percent=11.0)]
    found = judged({scenario("A", 1): rows})
    assert found.broken == ("A, core kept awake: TTFT p99 is off by 1 ms, more than 0.5 ms",)
    assert found.unjudged == (
        "A, core kept awake: CPU of a chunk is 20 us, more than 13 us,"
        " but others used 11 % of the core meanwhile",
    )


def test_ratios_are_not_judged_beside_others(judged, row, scenario):
    """Neither when the engine was disturbed nor when its peer was: they run one after the other."""
    said = "A: CPU of a chunk is 1 times that of aiohttp, more than 0.55, but others used the core meanwhile"
    for engine, peer in ((11.0, 0.0), (0.0, 11.0)):
        rows = [row(others_percent=engine), row(client="aiohttp", others_percent=peer)]
        found = judged({scenario("A"): rows})
        assert (found.broken, found.unjudged) == ((), (said,))


def test_other_clients_are_not_judged(judged, row, scenario):
    """A peer is shown for comparison only."""
    assert judged({scenario("A"): [row(client="httpx", error_p99_ms=500.0)]}).broken == ()


def test_two_workers(bounds, judged, row, scenario):
    """Twice the capacity within 3 %; a disturbed run is not judged."""
    one, two = scenario("W", 0), scenario("W", 1)

    def rows(cost, others=0.0):
        return {one: [row()], two: [row(cpu_us_per_request=cost, others_percent=others)]}

    assert bounds.workers_times(rows(40.0)) == 2.0
    assert judged(rows(41.0)).broken == ()
    sentence = "W: two workers do 1.86 times what one does, not 2 times within 3 %"
    assert judged(rows(43.0)).broken == (sentence,)
    found = judged(rows(43.0, others=20.0))
    assert (found.broken, found.unjudged) == ((), (f"{sentence}, but others used the core meanwhile",))
    assert bounds.workers_times({one: [row()]}) is None


def test_tls(bounds, judged, row, scenario):
    """At most twice the CPU; a disturbed run is not judged by its cost, but by its stamps."""
    plain, tls = scenario("T", 0), scenario("T", 1)
    assert judged({plain: [row()], tls: [row(cpu_us_per_chunk=20.0)]}).broken == ()
    assert judged({plain: [row()], tls: [row(cpu_us_per_chunk=21.0)]}).broken == (
        "T: CPU of a chunk under TLS is 2.1 times that without, more than 2",
    )
    assert bounds.tls_times({plain: [row()]}) is None
    disturbed = judged({plain: [row(others_percent=11.0)], tls: [row(cpu_us_per_chunk=21.0, clock="user")]})
    assert disturbed.broken == ("T: stamps under TLS are user, not kernel",)
    assert disturbed.unjudged == (
        "T: CPU of a chunk under TLS is 2.1 times that without, more than 2,"
        " but others used the core meanwhile",
    )


def test_what_is_not_accounted_for_breaks_a_bound(judged, row, scenario):
    """In every scenario."""
    lossy = dataclasses.replace(row(), accounted="of 2 requests 1 lost")
    assert judged({scenario("S"): [lossy]}).broken == ("S: of 2 requests 1 lost",)


@pytest.mark.parametrize(("tls", "said"), [(True, "under"), (False, "without")])
@pytest.mark.parametrize(("clock", "named"), [("user", "user"), ("mixed", "mixed"), ("", "unknown")])
def test_stamps_are_the_kernels_under_tls_too(judged, row, scenario, tls, said, clock, named):
    """The stamp of a read in Python is no substitute."""
    found = judged({scenario("T", int(tls)): [row(clock=clock)]})
    assert found.broken == (f"T: stamps {said} TLS are {named}, not kernel",)
    assert judged({scenario("T", int(tls)): [row(clock="kernel")]}).broken == ()


def test_pairs_of_runs_of_workers(bounds, row, scenario):
    """Each run of one worker beside the run of two that followed it."""
    one, two = row(each_us_per_request=(40.0, 44.0)), row(each_us_per_request=(40.0, 40.0))
    assert bounds.workers_pairs({scenario("W", 0): [one], scenario("W", 1): [two]}) == [2.0, 2.2]
    assert bounds.workers_pairs({scenario("W", 0): [one]}) == []


def test_what_was_not_measured_is_not_judged(bounds, row, scenario):
    """A scenario without the engine, and a ratio without its peer; each once, and nothing holds by it."""
    awake, one, two = scenario("A", 1), scenario("W", 0), scenario("W", 1)
    found = bounds.judge({awake: [row(), row(client="aiohttp", cpu_us_per_chunk=30.0)]}, [awake, one, two])
    assert found.broken == ()
    assert found.unjudged == (
        "A, core kept awake: CPU of a chunk of httpx was not measured",
        "W: the engine was not measured",
    )
    peers = [row(), row(client="aiohttp", cpu_us_per_chunk=30.0), row(client="httpx", cpu_us_per_chunk=200.0)]
    assert bounds.judge({awake: peers}, [awake]) == bounds.Findings((), ())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ()),
        ({"peaks_mb": {"load": 601.0}}, ("M: the peak of all processes is 601 MB, more than 600 MB",)),
        ({"growth_mb": 15.2}, ("M: the load workers grew by 15.2 MB, more than 15 MB",)),
        ({"growth_mb": float("nan")}, ("M: the load workers grew by nan MB, more than 15 MB",)),
        ({"failed": 3}, ("M: 3 of 200000 requests failed",)),
    ],
)
def test_memory(bounds, benchmark_module, changed, said):
    """Peak, growth and failures of the long run."""
    kept = {"peaks_mb": {"load": 600.0, "document": 90.0}, "growth_mb": 15.0, "failed": 0}
    memory = benchmark_module("figures").Memory(
        requests=200_000, tokens=100, took_s=300.0, **{**kept, **changed}
    )
    assert bounds.judge_memory(memory) == bounds.Findings(said, ())


def test_memory_that_was_not_measured(bounds):
    """Is told beside what else was not."""
    found = bounds.Findings(("a",), ("b",)).and_of(bounds.judge_memory(None))
    assert found == bounds.Findings(("a",), ("b", "M: memory was not measured"))

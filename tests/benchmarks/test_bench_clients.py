"""Each client against the server, and how clients and scenarios are chosen."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="pins processes to cores")


@pytest.fixture
def short(benchmark_module):
    """A scenario of a fraction of a second."""
    scenario = benchmark_module("scenarios").Scenario
    common = {"users": 4, "seconds": 0.1, "tokens": 5, "ttft_ms": 5.0, "itl_ms": 2.0}
    return lambda **changed: scenario("A", "short", **{**common, **changed})


def measured(benchmark_module, folder, client, scenario, certificate=None):
    """(findings, what was used, the server's records)."""
    timed, clients = (benchmark_module(name) for name in ("timed_server", "clients"))
    options = [*scenario.server_options, *(["--tls", certificate.chain] if certificate else [])]
    program = timed.fallback_command() if scenario.python_server else None
    with timed.running(folder, *options, program=program) as (url, log):
        found, used = clients.run(
            clients.Client(client),
            scenario,
            url,
            folder,
            sorted(os.sched_getaffinity(0))[:1],
            certificate and certificate.authority,
        )
    return found, used, timed.read_log(log)


@linux
@pytest.mark.parametrize("client", ["engine", "aiohttp", "httpx"])
@pytest.mark.parametrize("stream", [True, False])
def test_clients_and_server_name_the_same_requests(benchmark_module, tmp_path, short, client, stream):
    """Every request, chunk and byte is found on both sides, and nothing is seen before it was sent."""
    scenario = short(stream=stream) if stream else short(stream=False, tokens=1)
    found, used, served = measured(benchmark_module, tmp_path, client, scenario)
    figures = benchmark_module("figures")
    row = figures.figures(client, scenario, found, served, used, figures.StartUp(0.0, 0.0))
    assert row.n == len(served) >= 4
    assert row.accounted is None
    # 5 ms for the time the send call itself may take.
    pairs, _ = figures.matched(client, found, served)
    assert all(told > true - 5 for told, true in pairs), json.dumps(pairs)
    assert used.cpu_s > 0
    assert used.peak_rss_bytes > 10_000_000


@linux
def test_the_engine_under_tls(benchmark_module, tmp_path, short):
    """With a certificate made for the run."""
    scenario = short(python_server=True, tls=True)
    certificate = benchmark_module("timed_server").certificate(tmp_path)
    found, _, served = measured(benchmark_module, tmp_path, "engine", scenario, certificate)
    assert found["clock"] in ("kernel", "user", "mixed")
    assert benchmark_module("figures").unaccounted(found["requests"], served) is None
    assert len(served) >= 4


def test_the_engine_asked_for_a_rate_runs_an_open_loop(benchmark_module):
    """Of that rate, as a Poisson process; asked for users it runs a closed one."""
    engine = benchmark_module("engine_client")
    asked = argparse.Namespace(seconds=1.0, stream=True, workers=1, rate=50.0, users=4)
    plan = engine.plan_of(asked, "5eed")
    assert (plan.rate, plan.arrival, plan.duration_ns) == (50.0, "poisson", 10**9)
    asked.rate = None
    plan = engine.plan_of(asked, "5eed")
    assert (plan.rate, plan.users) == (None, 4)


@linux
@pytest.mark.parametrize("name", ["guidellm", "aiperf", "locust"])
def test_outside_clients(benchmark_module, tmp_path, short, name):
    """Run when their environment is named, as the benchmark does it."""
    clients = benchmark_module("clients")
    python = clients.python_of(name, None, os.environ)
    if python is None:
        pytest.skip(f"BENCH_{name.upper()}_PYTHON names no environment")
    scenario, timed = short(seconds=2.0, tokens=20), benchmark_module("timed_server")
    with timed.running(tmp_path, *scenario.server_options) as (url, log):
        cpus = os.sched_getaffinity(0)
        found, used = clients.run(clients.Client(name, python), scenario, url, tmp_path, cpus)
    figures = benchmark_module("figures")
    row = figures.figures(name, scenario, found, timed.read_log(log), used, figures.StartUp(0.0, 0.0))
    assert row.n >= 4
    assert -5 < row.error_p50_ms < 1000


def test_guidellm_report_to_rows(benchmark_module):
    """Ids out of the prompts; what it cut off at the end is neither answered nor failed."""
    request = {
        "request_args": '{"content":"[0000002a] Say"}',
        "time_to_first_token_ms": 51.0,
        "request_latency": 0.2,
    }
    report = {
        "benchmarks": [{"requests": {"successful": [request], "errored": [{}], "incomplete": [{}, {}]}}]
    }
    findings = benchmark_module("guidellm_client").findings
    assert findings(report, True) == {"requests": [("0000002a", 51.0, 0, 0)], "failed": 1}
    assert findings(report, False)["requests"] == [("0000002a", 200.0, 0, 0)]
    report["benchmarks"][0]["requests"]["errored"] = None
    assert findings(report, True)["failed"] == 0


def test_aiperf_records_to_rows(benchmark_module):
    """An error, or a record without the figure, is a failure."""
    good = {
        "metadata": {"x_request_id": "9-a"},
        "metrics": {"time_to_first_token": {"value": 51.0}, "request_latency": {"value": 200.0}},
    }
    lines = [json.dumps(r) for r in (good, {**good, "error": {"code": 500}}, {**good, "metrics": {}})]
    findings = benchmark_module("aiperf_client").findings
    assert findings(lines, True) == {"requests": [("9-a", 51.0, 0, 0)], "failed": 2}
    assert findings(lines, False)["requests"] == [("9-a", 200.0, 0, 0)]


@pytest.mark.parametrize(
    ("name", "seconds", "words"),
    [
        ("guidellm", 5.0, "--constraint kind=max_duration,seconds=5"),
        ("guidellm", 0.001, "--constraint kind=max_requests,count=4"),
        ("aiperf", 5.0, "--concurrency 4 --artifact-dir out --benchmark-duration 5"),
        ("aiperf", 0.001, "--concurrency 4 --artifact-dir out --request-count 4 --streaming"),
        ("locust", 5.0, "--users 4 --spawn-rate 4"),
    ],
)
def test_command_lines(benchmark_module, name, seconds, words):
    """The client's program lies beside its python; a run too short for it is a run of a request a user."""
    asked = argparse.Namespace(
        url="http://h:1", users=4, seconds=seconds, stream=True, python="/env/bin/python"
    )
    paths = {"guidellm": ["prompts", "out"], "aiperf": ["prompts", "tokenizer", "out"], "locust": []}[name]
    line = benchmark_module(f"{name}_client").words(asked, *map(Path, paths))
    assert line[0] == f"/env/bin/{name}"
    assert words in " ".join(line)


def test_an_outside_client_needs_its_environment(benchmark_module):
    with pytest.raises(SystemExit) as caught:
        benchmark_module("outside").command(argparse.Namespace(python=None), "locust")
    assert str(caught.value) == "locust_client.py needs --python, of an environment that has locust"


def test_clients_by_name(benchmark_module):
    """All of this environment by default, and those whose environment is named."""
    clients = benchmark_module("clients")
    pythons = {"guidellm": None, "aiperf": None, "locust": "/env/bin/python"}
    names = lambda given: [client.name for client in clients.chosen(given, pythons)]  # noqa: E731
    assert names(None) == ["engine", "aiohttp", "httpx", "locust"]
    assert names("aiohttp, engine") == ["aiohttp", "engine"]
    for given, said in (
        (
            "engine,wget",
            "--clients names wget; the clients are engine, aiohttp, httpx, guidellm, aiperf, locust",
        ),
        ("aiperf", "--clients names aiperf, which needs --aiperf-python /path/to/its/python"),
    ):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared word for word below
            clients.chosen(given, pythons)
        assert str(caught.value) == said


def test_environments_by_option_or_variable(benchmark_module):
    """The option goes before the variable; a path that is not there is refused."""
    python_of = benchmark_module("clients").python_of
    assert python_of("locust", None, {}) is None
    assert python_of("locust", None, {"BENCH_LOCUST_PYTHON": sys.executable}) == sys.executable
    assert python_of("locust", sys.executable, {"BENCH_LOCUST_PYTHON": "/nowhere"}) == sys.executable
    said = "--locust-python: there is no /nowhere; name the python of an environment that has locust"
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared word for word below
        python_of("locust", "/nowhere", {})
    assert str(caught.value) == said


def test_scenarios_by_letter(benchmark_module):
    """In the table's order, memory last; an unknown letter names those that are."""
    letters = benchmark_module("scenarios").letters
    assert letters("m, w,a") == ["A", "W", "M"]
    assert "".join(letters(None)) == "ABCDOWTSM"
    with pytest.raises(ValueError, match=r"^--only names X; the scenarios are A, B, C, D, O, W, T, S, M$"):
        letters("A,X")


def test_scenarios_of_a_letter_are_one_group(benchmark_module):
    """So that they are measured in turns."""
    scenarios = benchmark_module("scenarios")
    groups = scenarios.grouped(scenarios.SCENARIOS)
    assert [(group[0].letter, len(group)) for group in groups] == [
        *(("A", 2), ("B", 2), ("C", 1), ("D", 1), ("O", 1), ("W", 2), ("T", 2), ("S", 1)),
    ]
    assert [s.name for s in groups[0]] == ["A", "A, core kept awake"]


@linux
def test_a_client_that_writes_nothing_is_a_failure(benchmark_module, tmp_path, short, monkeypatch):
    """Though it ends well."""
    clients = benchmark_module("clients")
    (tmp_path / "lazy_client.py").write_text("")
    monkeypatch.setattr(clients, "HERE", tmp_path)
    with pytest.raises(RuntimeError, match=r"^lazy_client\.py ended well but wrote no findings$"):
        clients.run(
            clients.Client("lazy"), short(), "http://h:1", tmp_path, sorted(os.sched_getaffinity(0))[:1]
        )

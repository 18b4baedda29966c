"""The benchmark as a program: its command line, and what it does when a client fails."""

from __future__ import annotations

import pytest


@pytest.fixture
def bench(benchmark_module, monkeypatch):
    for name in benchmark_module("clients").OUTSIDE:
        monkeypatch.delenv(f"BENCH_{name.upper()}_PYTHON", raising=False)
    return benchmark_module("bench")


def test_command_line(bench):
    """Scenarios and clients as named, their length scaled; the page is written only when asked."""
    asked = bench.parse(["--only", "D", "--clients", "engine", "--scale", "0.5", "--runs", "2"])
    assert [(s.letter, s.seconds) for s in asked.scenarios] == [("D", 4.0)]
    assert [client.name for client in asked.who] == ["engine"]
    assert (asked.runs, asked.page) == (2, None)
    assert bench.parse(["--write"]).page == bench.PAGE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "Z"], "--only names Z; the scenarios are A, B, C, D, O, W, T, S"),
        (["--locust-python", "/nowhere"], "--locust-python: there is no /nowhere; name the python of"),
    ],
)
def test_a_wrong_command_line_is_refused(bench, capsys, words, said):
    with pytest.raises(SystemExit):
        bench.parse(words)
    assert said in capsys.readouterr().err


def test_no_path_of_this_machine_is_published(bench):
    words = ["--runs", "3", "--locust-python", "/home/me/bin/python", "--aiperf-python=/x"]
    assert bench.told(words) == "--runs 3 --locust-python PATH --aiperf-python PATH"


def test_a_peer_that_fails_is_told_and_left_out(bench, benchmark_module, monkeypatch, capsys):
    """The others go on; the engine's failure ends the benchmark."""
    figures, clients = benchmark_module("figures"), benchmark_module("clients")
    row = figures.Figures("engine", 1, 50.0, 0.0, 0.0, 0.0, 10.0, 10.0, 1.0, 1.0, 0.0)

    def once(client, *_):
        if client.name == failing:
            raise RuntimeError(f"{client.name}: 1 answered, 1 failed: the run tells nothing")
        return row

    monkeypatch.setattr(bench, "measure_once", once)
    who = [clients.Client("engine"), clients.Client("httpx")]
    starts = dict.fromkeys(("engine", "httpx"), figures.StartUp(0.0, 0.0))
    scenario = benchmark_module("scenarios").SCENARIOS[0]
    failing = "httpx"
    assert bench.measure(scenario, who, starts, 1, bench.Cores(0, 1)) == [row]
    assert capsys.readouterr().out == "A, httpx: httpx: 1 answered, 1 failed: the run tells nothing\n"
    failing = "engine"
    with pytest.raises(RuntimeError, match=r"^engine: 1 answered"):
        bench.measure(scenario, who, starts, 1, bench.Cores(0, 1))

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
    asked = bench.parse(["--only", "D,M", "--clients", "engine", "--scale", "0.5", "--runs", "2"])
    assert [(s.letter, s.seconds) for s in asked.scenarios] == [("D", 4.0)]
    assert (asked.memory, asked.scale) == (True, 0.5)
    assert [client.name for client in asked.who] == ["engine"]
    assert (asked.runs, asked.page) == (2, None)
    assert not bench.parse(["--only", "A"]).memory
    everything = bench.parse(["--write"])
    assert everything.page == bench.PAGE
    assert everything.memory
    assert len(everything.scenarios) == 12


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "Z"], "--only names Z; the scenarios are A, B, C, D, O, W, T, S, M"),
        (["--locust-python", "/nowhere"], "--locust-python: there is no /nowhere; name the python of"),
        (["--scale", "0"], "--scale must be more than 0, not 0"),
        *(
            (
                ["--write", *part],
                "--write publishes complete runs only: leave out --only, --clients and --scale",
            )
            for part in (["--only", "A"], ["--clients", "engine"], ["--scale", "0.5"])
        ),
    ],
)
def test_a_wrong_command_line_is_refused(bench, capsys, words, said):
    with pytest.raises(SystemExit):
        bench.parse(words)
    assert said in capsys.readouterr().err


def test_no_path_of_this_machine_is_published(bench):
    words = ["--runs", "3", "--locust-python", "/home/me/bin/python", "--aiperf-python=/x"]
    assert bench.told(words) == "--runs 3 --locust-python PATH --aiperf-python PATH"


def test_other_systems_are_told(bench, monkeypatch):
    """In one line, before anything is tried."""
    said = "the benchmark runs on Linux only: it pins processes to cores and reads /proc; this is darwin"
    assert bench.wrong_system("linux") is None
    monkeypatch.setattr(bench.sys, "platform", "darwin")
    with pytest.raises(SystemExit) as caught:
        bench.main()
    assert str(caught.value) == said


@pytest.fixture
def stand_ins(bench, benchmark_module, monkeypatch):
    """Nothing is run: figures of one kind for all, but for what fails; every call is noted."""
    figures, measuring = benchmark_module("figures"), benchmark_module("measuring")
    start, calls = figures.StartUp(0.0, 0.0), []

    class StandIns:
        failing = ""
        failing_at_start = ""
        memory = figures.Memory(100, 100, 0, 1.0, {"load": 90.0}, 1.0)

        def row(self, client):
            return figures.Figures(client, 1, 50.0, 0.0, 0.0, 0.0, 10.0, 10.0, 1.0, 1.0, 0.0)

        def once(self, client, scenario, *_):
            calls.append((scenario.title, client.name))
            if client.name == self.failing:
                raise RuntimeError(f"{client.name}: 1 answered, 1 failed: the run tells nothing")
            return self.row(client.name)

        def start_up(self, client, *_):
            if client.name == self.failing_at_start:
                raise RuntimeError(f"python {client.name}_client.py ended with 1")
            return start

    found = StandIns()
    found.calls = calls
    monkeypatch.setattr(measuring, "measure_once", found.once)
    monkeypatch.setattr(measuring, "measure_start_up", found.start_up)
    monkeypatch.setattr(measuring, "measure_pace", lambda _: figures.Pace(250.0, 400.0, 255.0))
    monkeypatch.setattr(measuring, "measure_memory", lambda *_: found.memory)
    return found


@pytest.fixture
def measured(bench):
    """``measured("--only", "A")`` -> all that this command line finds."""
    return lambda *words: bench.measured(bench.parse(words), bench.Cores(0, 1, 1))


def test_a_peer_that_fails_is_told_and_left_out(stand_ins, measured, capsys):
    """Of that scenario, at once; the others go on. The engine's failure ends the benchmark."""
    stand_ins.failing = "httpx"
    found = measured("--only", "C", "--clients", "engine,httpx,aiohttp")
    (row,) = found.rows.values()
    assert [figures.client for figures in row] == ["engine", "aiohttp"]
    said = "httpx, from C: httpx: 1 answered, 1 failed: the run tells nothing"
    assert found.left_out == [said]
    assert f"LEFT OUT: {said}\n" in capsys.readouterr().out
    stand_ins.failing = "engine"
    with pytest.raises(RuntimeError, match=r"^engine: 1 answered"):
        measured("--only", "C")


def test_a_peer_that_does_not_start_is_left_out_of_everything(stand_ins, measured):
    """And the benchmark goes on."""
    stand_ins.failing_at_start = "aiohttp"
    found = measured("--only", "C,D")
    assert found.left_out == [
        "aiohttp, from start-up, and so everything: python aiohttp_client.py ended with 1"
    ]
    assert set(found.starts) == {"engine", "httpx"}
    assert {name for _, name in stand_ins.calls} == {"engine", "httpx"}
    stand_ins.failing_at_start = "engine"
    with pytest.raises(RuntimeError, match=r"^python engine_client\.py ended with 1$"):
        measured("--only", "C,D")


def test_workers_are_measured_in_turns(stand_ins, measured):
    """One, two, one, two: at least five times each, whatever was asked for."""
    measured("--only", "W", "--runs", "2")
    assert stand_ins.calls == [("one worker", "engine"), ("two workers", "engine")] * 5
    stand_ins.calls.clear()
    measured("--only", "W", "--runs", "6")
    assert len(stand_ins.calls) == 12


def test_the_awake_rows_are_for_plain_clients(stand_ins, measured, bench, monkeypatch):
    """Not for tools that bring a command line of their own; those are in the first row only."""
    monkeypatch.setenv("BENCH_LOCUST_PYTHON", bench.sys.executable)
    found = measured("--only", "A", "--runs", "1")
    assert [[figures.client for figures in row] for row in found.rows.values()] == [
        ["engine", "aiohttp", "httpx", "locust"],
        ["engine", "aiohttp", "httpx"],
    ]


def test_memory_belongs_to_the_engine(stand_ins, measured):
    """It is measured when its letter is asked for, and not when the engine is not."""
    assert measured("--only", "M").memory == stand_ins.memory
    assert measured("--only", "C").memory is None
    assert measured("--only", "M", "--clients", "httpx").memory is None


def test_without_the_engine_nothing_holds(stand_ins, bench, monkeypatch, capsys):
    """What was asked for and not measured is named."""
    monkeypatch.setattr(bench.sys, "argv", ["bench.py", "--only", "C,M", "--clients", "httpx"])
    monkeypatch.setattr(bench.os, "sched_setaffinity", lambda *_: None)
    assert bench.main() == 0
    said = capsys.readouterr().out
    assert said.endswith(
        "NOT JUDGED: C: the engine was not measured\nNOT JUDGED: M: memory was not measured\n"
    )


def test_a_second_worker_gets_a_third_core_or_the_servers(bench, benchmark_module):
    """One worker has the client's alone."""
    one, two = (s for s in benchmark_module("scenarios").SCENARIOS if s.letter == "W")
    assert [bench.Cores.among({2, 5, 3}).of(s) for s in (one, two)] == [[2], [2, 5]]
    assert [bench.Cores.among({2, 3}).of(s) for s in (one, two)] == [[2], [2, 2]]
    with pytest.raises(
        SystemExit, match=r"^needs two cores, one for the server and one for the client; this"
    ):
        bench.Cores.among({4})

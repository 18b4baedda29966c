"""Servers that deadlock, run out of memory or are restarted: named as such, with what they did."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

import pytest

SERVERS = Path(__file__).parents[1] / "servers"
STUCK = f"{shlex.quote(sys.executable)} {shlex.quote(str(SERVERS / 'stuck_server.py'))}"
MOCK = f"{shlex.quote(sys.executable)} {shlex.quote(str(SERVERS / 'mock_server.py'))}"
LOAD = """
@pytest.mark.load(users=3, requests=40, timeout="4s", nonce=False)
@pytest.mark.error_rate(max=0.01)
@pytest.mark.latency(p50_ms=200)
def test_it(llm_load):
    llm_load("Say hi.")
"""


@pytest.fixture
def api(suite):
    """The stuck server needs no asking which API it speaks."""
    suite.pytester.makeini("[pytest]\nllm_api = openai-chat")
    return suite


def test_a_deadlock_is_shown_where_it_is(api, asked_briefly):
    """All threads wait in one line; it is found while it happens, before any request is out of time."""
    body = LOAD.replace("requests=40", "requests=23")
    run = api(body, "--llm-serve", f"{STUCK} {{port}} --stuck-after 20")
    assert run.exit == 1, run.text
    said = run.failure("test_it")
    start = next(i for i, line in enumerate(said) if line.startswith("stacks of the server at "))
    assert "s, as a request had gone without its full answer for 2" in said[start]
    assert said[start + 1].startswith("  3 threads wait, pid ")
    assert said[start + 2].startswith("    run_model (stuck_server.py:")
    assert any(line.endswith(f": in the report, {run.report}") for line in said[start:])
    assert any(
        line.startswith(
            "the server's process lives and answers a plain GET but had not answered a prompt for "
        )
        for line in said
    )
    (test,) = run.tests
    (dump,) = test["stacks"]
    waiting = [row for row in dump["threads"] if row["state"] == "waits"]
    assert all(row["frames"][0].startswith("run_model (stuck_server.py:") for row in waiting)
    assert test["stacks_missing"] is None
    assert "had not answered a prompt" in test["liveness"]


def test_a_healthy_server_is_left_alone(suite, quick):
    """No dump where limits are kept; nothing became of the server."""
    body = LOAD.replace("p50_ms=200", "p50_ms=20000, p99_ms=30000")
    run = suite(body, "--llm-endpoint", quick.url)
    assert run.exit == 0, run.text
    (test,) = run.tests
    assert (test["stacks"], test["stacks_missing"], test["liveness"]) == ([], None, None)


def test_without_py_spy_it_says_so_once(api, mock_server, monkeypatch):
    """A limit surely broken by slow answers is a reason to look; the way to be able to is told."""
    from pytest_llmserve.serve import stacks

    monkeypatch.setattr(stacks.shutil, "which", lambda *_, **__: None)
    server = mock_server("--ttft-ms", 150, "--tokens", 1)
    body = LOAD.replace("p50_ms=200", "max_ms=20")
    run = api(body, "--llm-endpoint", server.url)
    assert run.exit == 1, run.text
    told = (
        "stacks not taken: py-spy is not installed. Install it with: pip install 'pytest-llmserve[profile]'"
    )
    assert run.failure("test_it").count(told) == 1
    assert run.tests[0]["stacks_missing"] == told


def test_a_server_out_of_memory_is_named_so(api):
    """Its own limit, by the MemoryError in its log."""
    body = LOAD.replace("requests=40", "requests=18")
    run = api(body, "--llm-serve", f"{STUCK} {{port}} --memory-mb 1500 --keep-mb 100")
    assert run.exit == 1, run.text
    ended = (
        "the server's process ended during the test: exited with code 1,"
        " out of memory: its log says 'MemoryError'"
    )
    assert run.failure("test_it")[1].endswith(ended)
    assert f"{ended}; the last lines of its log:" in run.failure("test_it")
    assert run.tests[0]["liveness"] == ended


GROUP = Path("/sys/fs/cgroup/memory/llmserve-test")


@pytest.fixture
def small_group():
    """A control group (version 1) of 200 MB; skipped where none can be made."""
    try:
        GROUP.mkdir()
        (GROUP / "memory.limit_in_bytes").write_text("200000000")
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield GROUP
    deadline = time.monotonic() + 10
    while (GROUP / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    GROUP.rmdir()


def test_a_server_that_the_kernel_ended_for_want_of_memory_is_named_so(api, small_group):
    """SIGKILL alone says nothing; its control group counts."""
    confined = api.pytester.path / "confined.sh"
    confined.write_text(f"echo $$ > {small_group}/cgroup.procs\nexec {STUCK} $1 --keep-mb 20\n")
    run = api(LOAD.replace("requests=40", "requests=14"), "--llm-serve", f"sh {confined} {{port}}")
    assert run.tests[0]["liveness"] == (
        "the server's process ended during the test: killed by SIGKILL,"
        " out of memory: its control group counted 1 oom kill"
    )
    assert run.exit == 1, run.text


SUPERVISED = """
import os, signal, time

def test_it(llm_endpoint):
    assert llm_endpoint.generate("Say hi.").ok
    os.kill(int(open("pid").read()), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while not llm_endpoint.generate("Say hi.").ok:
        assert time.monotonic() < deadline
        time.sleep(0.05)

def test_after(llm_endpoint):
    assert llm_endpoint.generate("Say hi.").ok
"""


def test_a_restart_by_a_supervisor_does_not_pass_unnoticed(suite):
    """Every answer was right in the end; the next test has the new process, and is not blamed."""
    supervisor = suite.pytester.path / "supervise.sh"
    supervisor.write_text(f"while true; do {MOCK} --port $1 & echo $! > pid; wait $!; done\n")
    run = suite(SUPERVISED, "--llm-serve", f"sh {supervisor} {{port}}")
    run.assert_outcomes(failed=1, passed=1)
    said = run.failure("test_it")[0]
    assert said.startswith("the server was restarted during the test: pid ")
    assert " listens at its port now" in said
    assert [test["liveness"] for test in run.tests] == [said, None]


RECOVERY = """
import os, signal, time

def test_restart(llm_endpoint, llm_server):
    assert llm_endpoint.generate("Say hi.").ok
    before = llm_server.pid
    recovery = llm_server.restart(within="20s")
    assert llm_server.pid != before
    assert recovery.right
    assert 0 < recovery.down_ms <= recovery.answers_ms < 20_000
    assert recovery.what.startswith("the server answered as before ")
    assert llm_endpoint.generate("Say hi.").ok

@pytest.mark.no_leak(mb=100, settle="200ms")
@pytest.mark.resources(rss_mb=2000, processes=50)
def test_crash(llm_server, llm_load, llm_resources):
    llm_server.kill()
    assert not llm_server.alive
    assert llm_server.recovers(within="20s").right
    llm_load("Say hi.", users=1, requests=8)
    assert llm_resources.missing is None

def test_crash_of_its_own(llm_server):
    os.kill(llm_server.pid, signal.SIGKILL)
    while llm_server.alive:
        time.sleep(0.02)
    assert llm_server.recovers(within="20s").right

def test_too_slow(llm_server):
    llm_server.recovers(within="1ms")

def long_ago(server):
    test, end_ns = server._ended
    server._ended = test, end_ns - 600 * 10**9

def test_killed_long_ago(llm_server):
    llm_server.kill()
    long_ago(llm_server)
    recovery = llm_server.recovers(within="20s")
    assert 600_000 <= recovery.down_ms <= recovery.answers_ms < 640_000

def test_killed_and_left(llm_server):
    llm_server.kill()
    long_ago(llm_server)

def test_killed_by_an_earlier_test(llm_server):
    recovery = llm_server.recovers(within="20s")
    assert recovery.down_ms <= recovery.answers_ms < 20_000

def test_started_too_slowly(llm_server):
    llm_server.kill()
    llm_server.recovers(within="1ms")

def test_watched(llm_endpoint, llm_resources):
    time.sleep(0.1)
    assert llm_resources.missing is None
    assert llm_resources.peak("rss_mb") > 5
"""


def test_recovery_is_told_and_can_be_asserted(suite):
    """After a restart, a kill and a crash, however long ago; what the test recovers from is no failure."""
    run = suite(RECOVERY, "--llm-serve", f"{MOCK} --port {{port}}")
    run.assert_outcomes(failed=2, passed=7)
    (said,) = [line for line in run.failure("test_too_slow") if line]
    assert said.startswith("the server took no connection within 1 ms of its end: ")
    (said,) = [line for line in run.failure("test_started_too_slowly") if line]
    assert said.startswith("the server took no connection within 1 ms of its start: ")


def test_a_server_that_is_not_ours_is_not_killed(suite, quick):
    body = """
def test_it(llm_server):
    for act in (llm_server.kill, llm_server.restart, llm_server.recovers):
        with pytest.raises(Exception) as caught:
            act()
        done = "killed" if act == llm_server.kill else "restarted"
        assert str(caught.value) == (
            f"the server (pid {llm_server.pid}) was not started by this test run, so it is not {done}:"
            " let --llm-serve 'CMD --port {port}' start it"
        )
    assert llm_server.alive
"""
    assert suite(body, "--llm-endpoint", quick.url).exit == 0


PROFILED = """
@pytest.mark.load(users=2, duration="1s")
@pytest.mark.error_rate(max=0.5)
def test_it(llm_load):
    llm_load("Say hi.")
"""


def test_a_profile_is_recorded_and_told(suite, quick):
    """An SVG in the folder of the ini; the run says that it was disturbed."""
    suite.pytester.makeini("[pytest]\nllm_profiles = graphs")
    run = suite(PROFILED, "--llm-endpoint", quick.url, "--llm-profile")
    assert run.exit == 0, run.text
    (file,) = (suite.pytester.path / "graphs").glob("*.svg")
    assert "<svg" in file.read_text()
    profile = run.tests[0]["runs"][0]["profile"]
    assert profile["file"] == str(file)
    assert profile["samples"] > 0
    assert profile["text"].startswith("profiled 20 times a second, ")
    assert profile["text"] in run.text
    assert "profile" not in suite(PROFILED, "--llm-endpoint", quick.url).tests[0]["runs"][0]

"""--llm-serve: started, waited for, stopped; or what went wrong with it."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from pathlib import Path

import psutil
import pytest

SERVERS = Path(__file__).parents[1] / "servers"
MOCK = f"{shlex.quote(sys.executable)} {shlex.quote(str(SERVERS / 'mock_server.py'))} --port {{port}}"
FASTAPI = f"{shlex.quote(sys.executable)} {shlex.quote(str(SERVERS / 'fastapi_app.py'))} --port {{port}}"
BODY = """
def test_it(llm_endpoint, llm_server):
    import pathlib
    pathlib.Path("pid").write_text(str(llm_server.pid))
    assert llm_endpoint.generate("Say hi.").ok
"""


def pid_of(suite):
    return int((suite.pytester.path / "pid").read_text())


def test_a_server_is_started_and_its_process_is_gone_at_the_end(suite):
    """The command gets a free port in place of {port}."""
    run = suite(BODY, "--llm-serve", MOCK)
    assert run.exit == 0, run.text
    assert not psutil.pid_exists(pid_of(suite))
    assert run.tests[0]["server"]["pid"] == pid_of(suite)


def test_a_users_own_fastapi_server_is_tested(suite):
    """One path, {"prompt"} in, {"response"} out: --llm-api json, load and promises included."""
    run = suite(
        """
@pytest.mark.load(users=2, requests=30)
@pytest.mark.error_rate(max=0)
@pytest.mark.latency(p50_ms=20000)
def test_it(llm_load, llm_endpoint):
    assert llm_endpoint.generate("one two three").text == "three two one"
    llm_load(["one two", "three four"])
""",
        "--llm-serve",
        FASTAPI,
        "--llm-api",
        "json",
    )
    assert run.exit == 0, run.text
    assert run.tests[0]["runs"][0]["counts"]["ok"] == 30
    assert run.tests[0]["server"]["api"] == "json"


def test_the_api_of_a_fastapi_server_is_found_out(suite):
    """Without --llm-api, from its openapi.json."""
    run = suite(BODY, "--llm-serve", FASTAPI)
    assert run.exit == 0, run.text
    assert run.tests[0]["server"]["api"] == "json"


def test_a_server_that_dies_at_once_is_told_with_its_last_words(suite):
    """Not after the ready timeout, and not as a refused connection."""
    dying = f"{sys.executable} -c \"import sys; sys.exit('no GPU found on port {{port}}')\""
    run = suite(BODY, "--llm-serve", dying)
    assert run.exit == 1
    said = run.failure("test_it")
    assert said[0].startswith(
        "the server ended before it was ready: exited with code 1; the last lines of its log:"
    )
    assert said[1].startswith("no GPU found on port ")
    assert run.result.duration < 20


def test_a_server_that_never_opens_its_port_is_given_up(suite):
    """After llm_ready_timeout, with what it has printed; said meanwhile too; its process is gone then."""
    suite.pytester.makeini("[pytest]\nllm_ready_timeout = 2500ms\nllm_progress = 1s")
    (suite.pytester.path / "sleeper.py").write_text(
        "import os, time, pathlib\npathlib.Path('pid').write_text(str(os.getpid()))\n"
        "print('loading'); print('CUDA error: out of memory'); time.sleep(600)\n"
    )
    run = suite(BODY, "--llm-serve", f"{sys.executable} sleeper.py {{port}}")
    assert run.exit == 1
    said = run.failure("test_it")
    assert re.fullmatch(
        r"http://127\.0\.0\.1:\d+ refused the connection for 2\.5 s: the server that was started runs, and"
        r" does not listen there: does its command take this port, or does it need longer"
        r" \(llm_ready_timeout\)\?;"
        r" the last lines of its log:",
        said[0],
    )
    assert said[1:3] == ["loading", "CUDA error: out of memory"]
    waiting = [line for line in run.result.outlines if "llmserve: waiting for http://127.0.0.1:" in line]
    assert waiting
    assert waiting[0].endswith(" for 1 s; the last line of its log: CUDA error: out of memory")
    assert run.result.duration < 20
    assert not psutil.pid_exists(pid_of(suite))


def test_a_server_at_a_port_of_its_own_is_named_with_it(suite):
    """Used when it is free; else the session says who has it, and does not measure that one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        serve = ["--llm-serve", MOCK.replace("{port}", str(port)), f"--llm-endpoint=http://127.0.0.1:{port}"]
        held = suite(BODY, *serve)
    assert held.exit == pytest.ExitCode.TESTS_FAILED
    begin = (
        f"--llm-endpoint http://127.0.0.1:{port}: --llm-serve cannot have this port: process {os.getpid()} ("
    )
    assert any(line.startswith(begin) for line in held.result.outlines), held.text
    run = suite(BODY, *serve)
    assert run.exit == 0, run.text
    assert run.tests[0]["server"]["url"] == f"http://127.0.0.1:{port}"
    assert not psutil.pid_exists(pid_of(suite))


def test_a_server_that_could_not_be_started_is_tried_once(suite):
    """The second test says the same at once."""
    body = "def test_a(llm_endpoint):\n    pass\ndef test_b(llm_endpoint):\n    pass"
    (suite.pytester.path / "dying.py").write_text("open('starts', 'a').write('x')\nraise SystemExit(3)\n")
    run = suite(body, "--llm-serve", f"{sys.executable} dying.py {{port}}")
    run.assert_outcomes(errors=2)
    assert (suite.pytester.path / "starts").read_text() == "x"
    assert run.text.count("the server ended before it was ready: exited with code 3; its log is empty") >= 2


@pytest.mark.parametrize("failing", ["assert False", "raise SystemExit(3)", "pytest.exit('enough')"])
def test_the_server_is_stopped_however_the_tests_end(failing, suite):
    """A failing test, or one that ends the session."""
    run = suite(BODY + f"    {failing}\n", "--llm-serve", MOCK)
    assert run.exit != 0
    assert not psutil.pid_exists(pid_of(suite))


def test_the_server_can_be_restarted_in_a_test(suite):
    """llm_server.restart(): another process on the same port, and the log of both."""
    run = suite(
        """
def test_it(llm_endpoint, llm_server):
    before = llm_server.pid
    llm_server.restart()
    assert llm_server.pid != before
    import time
    deadline = time.monotonic() + 20
    while not llm_endpoint.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert llm_endpoint.generate("Say hi.").ok
    assert llm_server.log.read_text().count("listening on") == 2
""",
        "--llm-serve",
        MOCK,
    )
    assert run.exit == 0, run.text

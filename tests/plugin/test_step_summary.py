"""GITHUB_STEP_SUMMARY, and the properties of JUnit's suite: what CI shows of a session."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from pytest_llmserve.plugin.junit import property_text, suite_properties
from pytest_llmserve.reports.markdown import MOST_BYTES

BODY = """
@pytest.mark.latency(p50_ms=60000)
@pytest.mark.parametrize("case", ["a", "b"])
def test_load(llm_load, case):
    llm_load("Say hi.", users=2, requests=12)
"""


@pytest.fixture
def summary(tmp_path, monkeypatch):
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def test_a_session_is_appended_once_by_whoever_has_all_tests(suite, quick, summary):
    """Under xdist too; what was there stays, and JUnit's suite says what was tested."""
    summary.write_text("# before\n", encoding="utf-8")
    run = suite(BODY, f"--llm-endpoint={quick.url}", "-n2", "--junit-xml=j.xml", "--llm-report=r.md")
    run.assert_outcomes(passed=2)
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("# before\n\n## ")
    assert text.count("llmserve: 2 tests passed") == 1
    assert "test_suite.py::test_load[a]" in text
    assert "test_suite.py::test_load[b]" in text
    assert (suite.pytester.path / "r.md").read_text(encoding="utf-8") == text.removeprefix("# before\n\n")
    (told_of,) = ElementTree.parse(suite.pytester.path / "j.xml").iterfind("testsuite")
    # As Jenkins' junit-10.xsd has it: a suite holds properties and cases, a property a name and a value.
    assert [each.tag for each in told_of] == ["properties", "testcase", "testcase"]
    properties = told_of[0]
    assert {tuple(sorted(each.attrib)) for each in properties} == {("name", "value")}
    told = {each.get("name"): each.get("value") for each in properties}
    assert (told["llmserve.server"], told["llmserve.plan"]) == (quick.url, "2 users, 12 requests")
    assert told["llmserve.report"] == f"r.md; {run.report}"
    assert set(told) == {
        *("llmserve.version", "llmserve.server", "llmserve.api", "llmserve.model", "llmserve.plan"),
        *("llmserve.python", "llmserve.system", "llmserve.cpu", "llmserve.memory_mb", "llmserve.report"),
    }


@pytest.mark.parametrize(
    ("body", "options"),
    [("def test_other():\n    pass", []), (BODY, ["-o", "llm_step_summary=false"])],
    ids=["no test of ours", "turned off"],
)
def test_nothing_is_appended_where_nothing_is_to_be_told(suite, quick, summary, body, options):
    """Nor where the ini turns it off."""
    assert suite(body, f"--llm-endpoint={quick.url}", *options).exit == 0
    assert not summary.exists()


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan", "--fixtures"])
def test_a_session_that_was_to_run_nothing_writes_nothing(suite, quick, summary, option):
    """A report of before stays as it is; JUnit's file is pytest's own, and holds no word of ours."""
    (suite.pytester.path / "r.html").write_text("of before")
    named = "--llm-report=r.html", "--llm-report=new/r.md"
    run = suite(BODY, f"--llm-endpoint={quick.url}", *named, "--junit-xml=j.xml", option)
    assert run.exit == 0
    assert (suite.pytester.path / "r.html").read_text() == "of before"
    assert not (suite.pytester.path / "new").exists()
    assert not summary.exists()
    assert "report: " not in run.text
    assert "= llmserve =" not in run.text
    assert "llmserve." not in (suite.pytester.path / "j.xml").read_text()


def test_a_summary_that_cannot_be_written_is_told_and_fails_nothing(suite, quick, summary):
    """It was not asked for; a full one is left as it is."""
    run = suite(BODY, f"--llm-endpoint={quick.url}", "--llm-report=x.md", "-p", "no:terminal")
    assert (run.exit, run.text) == (0, "")
    size = MOST_BYTES - 1000
    summary.write_bytes(b"x" * size)
    full = suite(BODY, f"--llm-endpoint={quick.url}")
    off = "(llm_step_summary = false turns it off)"
    assert full.exit == 0
    assert (
        f"WARNING: nothing of this session is in GITHUB_STEP_SUMMARY {summary}: {size} bytes are in it,"
        f" and GitHub shows {MOST_BYTES} at most {off}"
    ) in full.result.outlines
    assert summary.stat().st_size == size
    summary.unlink()
    summary.mkdir()
    told = suite(BODY, f"--llm-endpoint={quick.url}", "-p", "no:terminal")
    assert told.exit == 0
    assert told.result.errlines == [
        f"WARNING: nothing of this session is in GITHUB_STEP_SUMMARY {summary}: it cannot be written:"
        f" Is a directory {off}"
    ]


def test_what_a_server_says_breaks_no_xml(suite, quick):
    """Control characters in the text of a failure; JUnit's file can be read, and says it."""
    body = """
@pytest.mark.latency(p50_ms=60000)
def test_load(llm_load):
    llm_load("Say hi.", users=1, requests=8)
    raise AssertionError("the server said \\x00 and \\x1b[31m and \\ud800")
"""
    run = suite(body, f"--llm-endpoint={quick.url}", "--junit-xml=j.xml")
    run.assert_outcomes(failed=1)
    tree = ElementTree.parse(suite.pytester.path / "j.xml")
    (failure,) = tree.iterfind("testsuite/testcase/failure")
    assert "the server said #x00 and #x1B[31m and #xD800" in failure.text


def test_properties_of_the_suite_are_scalar_and_short():
    """Several servers in one value, each once; nothing that is not known; no character XML lacks."""
    test = {"server": {"url": "http://a", "api": "json", "model": "m\x1b[1m\x00\ud800"}, "runs": []}
    tests = [test, test, {"server": None, "runs": [{"plan": {"text": "x" * 600}}]}]
    tests.append({"server": {"url": "http://b", "api": "json", "model": None}, "runs": []})
    environment = {
        "pytest_llmserve": "1.0",
        "python": "3.11",
        "system": "Linux 6",
        "machine": "x86_64",
        "cpus": 2,
        "cpu_model": None,
        "memory_mb": None,
    }
    told = dict(suite_properties({"environment": environment, "tests": tests}, []))
    assert told.pop("llmserve.plan") == "x" * 499 + "…"
    assert told == {
        "llmserve.version": "1.0",
        "llmserve.server": "http://a; http://b",
        "llmserve.api": "json",
        "llmserve.model": "m\ufffd[1m\ufffd\ufffd",
        "llmserve.python": "3.11",
        "llmserve.system": "Linux 6 x86_64",
        "llmserve.cpu": "2 x not told",
    }
    assert property_text(" a\nb\tc ") == "a b c"

"""What a test failed of by itself stands in our reports, and which inputs that was about."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.survival import Survival
from pytest_llmserve.plugin.raised import harmed_lines


def harmed(name):
    return Survival(
        what=f"it answered 500: {name}", faults=("x",), outcome="http_5xx", evidence=(f"sent: {name}",)
    )


A, B = harmed("a"), harmed("b")
LINES_OF_A = ["it answered 500: a", "  sent: a"]
LINES_OF_B = ["it answered 500: b", "  sent: b"]
WELL = Survival(what="fine", outcome="ok")


def raised(held=None, text="no"):
    def fail(survival, well):
        raise AssertionError(text)

    with pytest.raises(AssertionError) as error:
        fail(held, WELL)
    return error.value


def test_the_reported_input_is_told_though_another_came_later():
    assert harmed_lines(raised(A), B) == LINES_OF_A


def test_each_input_of_a_group_is_told_once():
    group = ExceptionGroup("several", [raised(A), ExceptionGroup("more", [raised(B), raised(A)])])
    assert harmed_lines(group, B) == [*LINES_OF_A, *LINES_OF_B]


def test_where_no_frame_holds_one_the_last_is_told_as_such():
    assert harmed_lines(raised(), B) == ["the last input that was not survived:", *LINES_OF_B]
    assert harmed_lines(None, B) == ["the last input that was not survived:", *LINES_OF_B]
    assert harmed_lines(raised(), None) == []


def test_what_the_error_says_itself_is_not_said_again():
    told = "\n".join(LINES_OF_A)
    assert harmed_lines(raised(A, text=told), A) == []
    assert harmed_lines(raised(text=f"gone since\n{told}"), A) == []


BODY = """
@pytest.fixture
def broken():
    raise RuntimeError("a word of mine")

def test_own(llm_load):
    assert llm_load("Say hi.", requests=2).error_rate == "a word of mine"

@pytest.mark.latency(max_ms=0.001)
def test_both(llm_load):
    llm_load("Say hi.", requests=2)
    raise ValueError("a word of mine\\nand more")

@pytest.mark.xfail(reason="known")
def test_expected(llm_endpoint):
    pytest.fail("a word of mine")

@pytest.mark.xfail(strict=True, reason="a word of mine")
def test_better(llm_endpoint):
    pass

def test_setup(llm_endpoint, broken):
    pass

@pytest.mark.latency(max_ms=0.001)
def test_limit(llm_load):
    llm_load("Say hi.", requests=2)

def test_skips(llm_endpoint):
    pytest.skip("a word of mine")
"""
RAISED = {
    "test_own": ("AssertionError", 9, "AssertionError: assert 0.0 == 'a word of mine'"),
    "test_both": ("ValueError", 14, "ValueError: a word of mine"),
    "test_expected": ("Failed", 18, "Failed: a word of mine"),
    "test_better": ("XPASS(strict)", None, "[XPASS(strict)] a word of mine"),
    "test_setup": ("RuntimeError", 6, "RuntimeError: a word of mine"),
}


def test_a_test_that_failed_by_itself_says_so_in_the_reports(suite, quick):
    """Type, file and line; of its message, which may hold a prompt, a line only with --llm-keep-text."""
    page, text = suite.pytester.path / "report.html", suite.pytester.path / "report.md"
    options = "--llm-endpoint", quick.url, f"--llm-report={page}", f"--llm-report={text}"
    run = suite(BODY, *options)
    found = {test["nodeid"].partition("::")[2]: test.get("raised") for test in run.tests}
    places = {
        name: {"type": kind, "file": line and "test_suite.py", "line": line}
        for name, (kind, line, _) in RAISED.items()
    }
    assert found == places | {"test_limit": None, "test_skips": None}
    assert "a word of mine" not in run.report.read_text() + page.read_text() + text.read_text()
    assert "<strong>AssertionError in test_suite.py, line 9</strong>" in page.read_text()
    assert "| the test itself |  | AssertionError in test_suite.py, line 9 |" in text.read_text()

    tests = suite(BODY, *options, "--llm-keep-text").tests
    found = {test["nodeid"].partition("::")[2]: test.get("raised") for test in tests}
    assert {name: each["text"] for name, each in found.items() if each} == {
        name: said for name, (_, _, said) in RAISED.items()
    }
    assert "AssertionError: assert 0.0 == " in page.read_text()

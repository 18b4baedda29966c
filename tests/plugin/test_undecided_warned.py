"""Undecided is passed with a warning, and what cannot be decided is said before the load."""

from __future__ import annotations

import re

import pytest

SMALL = """
@pytest.mark.load(users=2, requests=20)
@pytest.mark.latency(
    p99_ms=20000,
)
@pytest.mark.error_rate(max=0.9)
def test_it(llm_load):
    llm_load("Say hi.")
"""
BEFORE = (
    "latency(p99_ms=20000): p99 at 95% needs 299 requests with none over the limit;"
    " this load sends 20, so it can end undecided or fail, not pass"
)
UNDECIDED = re.compile(r"p99 e2e latency \S+ ms <= 20000 ms, undecided \(95% interval .+, n=20\b.*\): .+")
CATEGORY = "pytest_llmserve.LlmServeWarning"
LET_PASS = f"-W default::{CATEGORY}"


def warned(run):
    """(place, text) of each of our warnings in pytest's summary."""
    found = re.findall(r"^  \S*?(test_suite\.py:\d+): LlmServeWarning: (.+)$", run.text, re.MULTILINE)
    assert len(found) == run.text.count("LlmServeWarning: ")
    return found


def test_an_undecided_limit_that_passes_is_warned_of_at_its_marker(suite, quick):
    """And before it, at the load's marker, that it could be no other; not of the limit that was decided."""
    run = suite(SMALL, "--llm-endpoint", quick.url)
    assert run.exit == 0, run.text
    before, after = warned(run)
    assert before == ("test_suite.py:4", BEFORE)
    assert after[0] == "test_suite.py:5"
    assert UNDECIDED.fullmatch(after[1])
    assert after[1] == run.verdicts[0]["sentence"]
    assert "1 passed, 2 warnings" in run.result.outlines[-1]


def test_the_terminal_says_it_before_the_load(suite, quick):
    """One line, above those of the load's progress."""
    run = suite(
        SMALL.replace('"Say hi."', '"Say hi.", duration="500ms", think_time="20ms", requests=25'),
        "--llm-endpoint",
        quick.url,
        "-o",
        "llm_progress=200ms",
    )
    assert run.exit == 0, run.text
    lines = [line for line in run.result.outlines if line.startswith("llmserve: ")]
    said = [line for line in lines if "needs 299" in line]
    assert said == [f"llmserve: {BEFORE.replace('sends 20', 'sends at most 25')}"]
    assert len(lines) > 2
    header, first = lines[:2]
    assert header.startswith("llmserve: http")
    assert first == said[0]


@pytest.mark.parametrize("options", [("-q",), ("-o", "llm_progress=0s")], ids=["quiet", "no progress"])
def test_where_no_progress_is_wanted_the_warning_alone_says_it(options, suite, quick):
    run = suite(SMALL, "--llm-endpoint", quick.url, *options)
    assert f"llmserve: {BEFORE}" not in run.result.outlines
    assert warned(run)[0] == ("test_suite.py:4", BEFORE)


def test_it_is_said_before_a_comparison_too(suite, quick):
    """Of all rounds of a side together; made an error, the comparison is not begun."""
    body = SMALL.replace('llm_load("Say hi.")', "llm_load.compare(llm_endpoint, llm_endpoint, rounds=2)")
    body = body.replace("(llm_load)", "(llm_load, llm_endpoint)")
    run = suite(body, "--llm-endpoint", quick.url)
    assert f"llmserve: {BEFORE}" in run.result.outlines
    assert warned(run)[0] == ("test_suite.py:4", BEFORE)
    asked = len(quick.log_rows())
    run = suite(body, "--llm-endpoint", quick.url, "-W", f"error::{CATEGORY}")
    assert run.exit == 1
    assert len(quick.log_rows()) < asked + 20


def test_it_is_said_once_a_test(suite, quick):
    """However many runs it has; each undecided limit of each run is warned of."""
    run = suite(
        SMALL + '    llm_load("Say hi.")\n    llm_load("Say hi.", requests=30)\n', "--llm-endpoint", quick.url
    )
    texts = [text for _, text in warned(run)]
    assert texts[0] == BEFORE
    assert [re.search(r"run \d of 3", text)[0] for text in texts[1:]] == [f"run {i} of 3" for i in (1, 2, 3)]


def test_async_loads_are_warned_of_as_well(suite, quick):
    body = SMALL.replace("def test", "@pytest.mark.asyncio\nasync def test")
    run = suite(body.replace(" llm_load(", " await llm_load.arun("), "--llm-endpoint", quick.url)
    assert run.exit == 0, run.text
    assert [text for _, text in warned(run)] == [BEFORE, run.verdicts[0]["sentence"]]


def test_workers_of_xdist_tell_the_controller_once(suite, quick):
    """Their own terminal is nobody's."""
    run = suite(SMALL, "--llm-endpoint", quick.url, "-n", 1)
    assert run.exit == 0, run.text
    (place, before), (_, after) = warned(run)
    assert (place, before) == ("test_suite.py:4", BEFORE)
    assert after == run.verdicts[0]["sentence"]


def test_what_fails_or_is_decided_is_not_warned_of(suite, quick):
    """--llm-strict fails it; a decided limit needs no word."""
    strict = suite(SMALL, "--llm-endpoint", quick.url, "--llm-strict")
    assert strict.exit == 1
    assert [text for _, text in warned(strict)] == [BEFORE]
    kept = SMALL.replace("@pytest.mark.latency(\n    p99_ms=20000,\n)\n", "")
    decided = suite(kept, "--llm-endpoint", quick.url)
    assert (decided.exit, warned(decided)) == (0, [])


def test_a_test_that_fails_by_itself_is_not_warned_of_beside(suite, quick):
    """Its own failure stands alone."""
    run = suite(SMALL + "    assert False\n", "--llm-endpoint", quick.url)
    assert [text for _, text in warned(run)] == [BEFORE]


@pytest.mark.parametrize("how", ["error", f"error::{CATEGORY}"])
def test_where_warnings_are_errors_the_load_is_not_even_begun(how, suite, quick):
    """The failure says what is missing, that a filter made it fail, and the way out."""
    run = suite(SMALL, "--llm-endpoint", quick.url, "-W", how)
    assert run.exit == 1
    assert run.failure("test_it") == [
        f"test_suite.py:10: {BEFORE}; the load was not begun, as warnings are errors here:"
        f" send more requests, or let it run with {LET_PASS}"
    ]
    assert run.tests[0]["runs"] == []


CLOSE = """
@pytest.mark.load(users=2, duration="300ms")
@pytest.mark.latency(p999_ms=20000)
def test_it(llm_load):
    llm_load("Say hi.")
"""


def test_where_warnings_are_errors_an_undecided_limit_fails_and_says_why(suite, quick):
    """With all the evidence of a failed check, and no traceback."""
    run = suite(CLOSE, "--llm-endpoint", quick.url, "-W", "error")
    assert run.exit == 1, run.text
    lines = run.failure("test_it")
    assert lines[0] == run.verdicts[0]["sentence"]
    assert ", undecided (" in lines[0]
    assert lines[1] == (f"undecided counts as failed (warnings are errors here: let it pass with {LET_PASS})")
    assert lines[3].startswith("run: 2 users, 300 ms: ")
    assert lines[-1].startswith("repeat: pytest ")
    assert "Traceback" not in run.text


@pytest.mark.parametrize(("lines", "status"), [("error", 0), (f"error\n    error::{CATEGORY}", 1)])
def test_a_project_that_makes_errors_of_all_warnings_has_not_meant_these(
    lines, status, suite, quick, pytester
):
    """No limit was broken; a line of their own means them."""
    pytester.makeini(f"[pytest]\nfilterwarnings =\n    {lines}\n")
    run = suite(CLOSE, "--llm-endpoint", quick.url)
    assert run.exit == status, run.text


@pytest.mark.parametrize(
    "options", [("-W", "error", "-W", f"default::{CATEGORY}"), ("-W", f"ignore::{CATEGORY}")]
)
def test_a_filter_of_the_user_lets_it_pass(options, suite, quick):
    """The category is found under the name that messages give."""
    run = suite(SMALL, "--llm-endpoint", quick.url, *options)
    assert run.exit == 0, run.text
    assert len(warned(run)) == (0 if "ignore" in options[-1] else 2)


def test_one_test_can_be_spared_by_its_own_mark(suite, quick):
    """Beside another that is warned of."""
    mark = f'@pytest.mark.filterwarnings("ignore::{CATEGORY}")'
    spared = SMALL.replace("def test_it", f"{mark}\ndef test_spared")
    run = suite(SMALL + spared, "--llm-endpoint", quick.url)
    assert run.exit == 0, run.text
    assert len(warned(run)) == 2


def test_a_key_is_redacted_in_a_warning_too(suite, quick, monkeypatch):
    """A warning goes to logs and reports."""
    monkeypatch.setenv("KEY_OF_TEST", "undecided")
    run = suite(SMALL, "--llm-endpoint", quick.url, "--llm-api-key-env", "KEY_OF_TEST")
    after = warned(run)[1][1]
    assert after.startswith("p99 e2e latency ")
    assert "undecided" not in after


def test_a_load_until_decided_says_what_it_needs_and_warns_of_nothing(suite, quick):
    """On the terminal, before it begins."""
    body = SMALL.replace("requests=20", 'until="decided", max_duration="20s"').replace("p99_ms", "p90_ms")
    run = suite(body, "--llm-endpoint", quick.url, "-W", f"error::{CATEGORY}")
    said = [line for line in run.result.outlines if line.startswith("llmserve: latency")]
    assert said == [
        "llmserve: latency(p90_ms=20000): p90 at 95% needs 266 requests with none over the limit;"
        " this load goes on until all is decided"
    ]
    assert run.exit == 0 or "the load generator was the bottleneck" in run.text, run.text

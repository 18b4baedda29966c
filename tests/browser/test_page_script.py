"""What the script of the page itself does: the filter, and links into what is folded."""

from __future__ import annotations

import pytest
from sample_document import document

from pytest_llmserve.reports.html.page import write


def plain_test(name, outcome, word=None):
    sure = {"check": "error_rate", "what": "error rate", "sentence": "s", "limit": 1.0, "estimate": 0.5}
    sure |= {"interval": None, "n": 1, "confidence": 1.0, "holds": True}
    verdicts = [sure | {"verdict": word}] if word else []
    return {
        "nodeid": f"tests/test_a.py::test_{name}",
        "attempt": 1,
        "outcome": outcome,
        "server": {"url": "http://127.0.0.1:1", "model": None},
        "runs": [],
        "verdicts": verdicts,
    }


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """A report of six tests: enough for a filter."""
    path = tmp_path_factory.mktemp("six") / "report.html"
    tests = [plain_test("fast", "passed"), plain_test("slow", "failed"), plain_test("broken", "error")]
    tests += [
        plain_test("unsure", "passed", "undecided"),
        plain_test("left", "skipped"),
        plain_test("ok", "passed"),
    ]
    write(document(*tests), path)
    return path


def names(page):
    """Of the cards that are seen, in order."""
    cards = page.locator("article.card").filter(visible=True)
    return [name.removeprefix("test_") for name in cards.locator(".name").all_inner_texts()]


def test_cards_are_found_by_outcome_and_by_parts_of_their_names(visit, six):
    """Details go with their cards; what is shown is said; an error counts as failed."""
    page = visit(six)
    assert names(page) == ["slow", "broken", "unsure", "fast", "left", "ok"]
    page.select_option("[name=outcome]", "failed")
    assert names(page) == ["slow", "broken"]
    assert page.locator("details.test").filter(visible=True).count() == 2
    assert page.inner_text("#filter-said") == "2 of 6 shown"
    page.select_option("[name=outcome]", "unsure")
    assert names(page) == ["unsure"]
    page.select_option("[name=outcome]", "")
    page.fill("[name=text]", "TEST_A.py")
    assert names(page) == ["slow", "broken", "unsure", "fast", "left", "ok"]
    page.fill("[name=text]", "slo A.py")
    assert names(page) == ["slow"]
    page.fill("[name=text]", "")
    assert page.inner_text("#filter-said") == ""
    assert page.said == []


def test_a_link_shows_what_is_folded(visit, six):
    """By a click, by the address, and again after it was folded; also where the filter had hidden it."""
    page = visit(six)
    shown = page.locator("#test-1 > .inside")
    link = page.locator("article.card a", has_text="test_fast")
    assert not shown.is_visible()
    link.click()
    assert shown.is_visible()
    page.click("#test-1 > summary")
    assert not shown.is_visible()
    link.click()
    assert shown.is_visible()
    page.select_option("[name=outcome]", "failed")
    page.evaluate("location.hash = 'test-6'")
    page.locator("#test-6 > .inside").wait_for()
    assert page.locator("#test-6 > .inside").is_visible()
    assert page.said == []

"""The first words of a report: the verdict of the session in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.words import count, word
from pytest_llmserve.reports.itself import (
    BAD,
    error_text,
    is_undecided,
    unsurvived,
    why_it_fails,
)

Test = Mapping[str, Any]

_NAMED = 3
"""Tests that are named in the sentence."""


def headline(tests: Sequence[Test]) -> str:
    """As "2 of 8 tests failed: test_a, test_b; 3 limits undecided".

    Of a test that was run again the last attempt counts.
    """
    latest = last_attempts(tests)
    if not latest:
        return "No test used the server"
    bad = [test for test in latest if test["outcome"] in BAD]
    halted = any(test["outcome"] == "interrupted" for test in latest)
    unsure = _unsure(latest)
    said = "; ".join(filter(None, [_failed(bad, len(latest)), unsure])) if bad else _rest(latest, unsure)
    return f"Interrupted: {said[0].lower()}{said[1:]}" if halted else said


def _failed(bad: Sequence[Test], of: int) -> str:
    names = [short_name(test["nodeid"]) for test in bad[:_NAMED]]
    more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    those = "The test" if of == 1 else f"{len(bad)} of {of} tests"
    return f"{those} failed: {', '.join(names)}{more}"


def _rest(latest: Sequence[Test], unsure: str) -> str:
    passed = sum(test["outcome"] == "passed" for test in latest)
    said = "The test passed" if passed == 1 else f"All {passed:,} tests passed"
    if passed < len(latest):
        others = _counted([test for test in latest if test["outcome"] != "passed"])
        said = f"{passed} of {count(len(latest), 'test')} passed, {others}"
    return ", ".join(filter(None, [said, unsure]))


def _unsure(latest: Sequence[Test]) -> str:
    """As "3 limits undecided, 1 promise not judged"; empty where all was judged for certain."""
    undecided = sum(is_undecided(verdict) for test in latest for verdict in test["verdicts"])
    left_out = sum(bool(test.get("not_judged")) for test in latest)
    told = [(undecided, "limit", "undecided"), (left_out, "promise", "not judged")]
    return ", ".join(f"{count(number, noun)} {what}" for number, noun, what in told if number)


def session_outcome(tests: Sequence[Test]) -> str:
    """Of all together: "failed", "interrupted", "undecided", "skipped" (nothing was judged) or "passed"."""
    latest = last_attempts(tests)
    outcomes = {test["outcome"] for test in latest}
    if outcomes & BAD:
        return "failed"
    if "interrupted" in outcomes:
        return "interrupted"
    if any(map(is_unsure, latest)):
        return "undecided"
    return "passed" if outcomes - {"skipped"} else "skipped"


def reason(tests: Sequence[Test]) -> tuple[str, str] | None:
    """A test and a sentence: the first limit that was broken, or what else made a test fail.

    Of a session in which none failed the first that is not certain; None where all is. The test is
    not named where it is the only one.
    """
    latest = last_attempts(tests)
    bad = [test for test in latest if test["outcome"] in BAD]
    for kind in _REASONS if bad else _DOUBTS:
        for test in bad or latest:
            if said := kind(test):
                return short_name(test["nodeid"]) if len(latest) > 1 else "", said
    return None


def _sentence(test: Test, wanted: Callable[[Mapping[str, Any]], bool]) -> str | None:
    return next((str(each["sentence"]) for each in test["verdicts"] if wanted(each)), None)


def _by_itself(test: Test) -> str | None:
    harm, error = unsurvived(test), error_text(test)
    if harm:
        return f"a hostile input was not survived: {harm[0]}"
    return f"failed by itself: {error}" if error else None


_REASONS: tuple[Callable[[Test], str | None], ...] = (
    lambda test: _sentence(test, lambda each: bool(each["verdict"] == "fail")),
    lambda test: _sentence(test, lambda each: bool(why_it_fails(each)) and each["holds"] is False),
    _by_itself,
    lambda test: _sentence(test, lambda each: bool(why_it_fails(each))),
    lambda test: test.get("liveness"),
    lambda test: _sentence(test, is_undecided),
)
"""Why a test failed, what explains most first. The last: undecided counts as failed (--llm-strict)."""
_DOUBTS: tuple[Callable[[Test], str | None], ...] = (
    lambda test: _sentence(test, is_undecided),
    lambda test: test.get("not_judged"),
)


def counted(tests: Sequence[Test]) -> str:
    """How many of each outcome: "5 passed, 1 skipped"."""
    return _counted(last_attempts(tests))


def _counted(latest: Sequence[Test]) -> str:
    numbers = Counter(test["outcome"] for test in latest)
    return ", ".join(f"{number:,} {word(outcome)}" for outcome, number in numbers.most_common())


def last_attempts(tests: Sequence[Test]) -> list[Test]:
    """One entry a test."""
    return list({test["nodeid"]: test for test in tests}.values())


def is_unsure(test: Test) -> bool:
    """A limit of it is undecided, or a promise was not judged."""
    return bool(test.get("not_judged")) or any(map(is_undecided, test["verdicts"]))


def short_name(nodeid: str) -> str:
    """A test's name without its file: "test_a[case]"."""
    return nodeid.partition("::")[2] or nodeid


def title(tests: Sequence[Test]) -> str:
    """Of the window: outcome and server."""
    latest = last_attempts(tests)
    if not latest:
        return "No test - pytest-llmserve"
    bad = sum(test["outcome"] in BAD for test in latest)
    said = f"{bad} of {len(latest)} failed" if bad else counted(tests)
    servers = dict.fromkeys(server_name(test["server"]) for test in latest if test.get("server"))
    return " - ".join([said, *list(servers)[:1], "pytest-llmserve"])


def server_name(server: Mapping[str, Any]) -> str:
    """Its model and its URL."""
    return f"{server['model']} at {server['url']}" if server.get("model") else str(server["url"])

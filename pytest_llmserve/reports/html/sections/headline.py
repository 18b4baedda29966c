"""The first words of a report: the verdict of the session in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.words import count, word

Test = Mapping[str, Any]

BAD = frozenset({"failed", "error"})
_NAMED = 3
"""Tests that are named in the sentence."""


def headline(tests: Sequence[Test]) -> str:
    """As "2 of 8 tests failed: test_a, test_b"; of a test that was run again the last attempt counts."""
    latest = last_attempts(tests)
    if not latest:
        return "No test used the server"
    bad = [test for test in latest if test["outcome"] in BAD]
    halted = any(test["outcome"] == "interrupted" for test in latest)
    said = f"{_failed(bad, len(latest))}" if bad else _rest(latest)
    return f"Interrupted: {said[0].lower()}{said[1:]}" if halted else said


def _failed(bad: Sequence[Test], of: int) -> str:
    names = [short_name(test["nodeid"]) for test in bad[:_NAMED]]
    more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    those = "The test" if of == 1 else f"{len(bad)} of {of} tests"
    return f"{those} failed: {', '.join(names)}{more}"


def _rest(latest: Sequence[Test]) -> str:
    passed = sum(test["outcome"] == "passed" for test in latest)
    if passed < len(latest):
        others = _counted([test for test in latest if test["outcome"] != "passed"])
        return f"{passed} of {count(len(latest), 'test')} passed, {others}"
    said = "The test passed" if passed == 1 else f"All {passed:,} tests passed"
    unsure = sum(is_unsure(test) for test in latest)
    return f"{said}, {unsure} with a limit that is undecided" if unsure else said


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


def reason(tests: Sequence[Test]) -> str | None:
    """The first limit that was broken, or else could not be decided; None where neither is."""
    latest = last_attempts(tests)
    for word_, kinds in (("fail", BAD), ("undecided", BAD), ("undecided", None)):
        for test in latest:
            if kinds is None or test["outcome"] in kinds:
                for verdict in test["verdicts"]:
                    if verdict["verdict"] == word_:
                        return str(verdict["sentence"])
    return None


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
    """A limit of it is undecided."""
    return any(verdict["verdict"] == "undecided" for verdict in test["verdicts"])


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

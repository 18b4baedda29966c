"""A card a test: what became of it, each limit with a picture, what ran short."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.bar import verdict_bar
from pytest_llmserve.reports.html.markup import Child, Markup, broken, join, tag
from pytest_llmserve.reports.html.sections.headline import is_unsure, last_attempts, short_name
from pytest_llmserve.reports.html.sections.survival import survival_text
from pytest_llmserve.reports.html.tables import items
from pytest_llmserve.reports.html.words import SIGNS, TONES, count, word
from pytest_llmserve.reports.itself import BAD, error_text, unsurvived, why_it_fails
from pytest_llmserve.reports.verdict_cells import fails

Test = Mapping[str, Any]

_HARMS = 3
"""Faults of hostile inputs on a card: the others stand with the test."""
MOST = 8
"""Verdicts on a card: the others stand with the test."""
_COMPARED = re.compile(r" (<=|>=|<|>) ")
_CUT = re.compile(r" \(|[:;] ")
_ORDER = {"fail": 0, "undecided": 1, "pass": 2}
_AGAIN = 9
_FIRST = {"failed": 0, "error": 0, "interrupted": 1, "xpassed": 2}


def in_order(tests: Sequence[Test]) -> list[Test]:
    """Failing first, then those with something undecided, then with limits, then the others, as they ran.

    Attempts of a test that was run again come last: it is its last one that counts.
    """
    latest = {id(test) for test in last_attempts(tests)}
    return sorted(tests, key=lambda test: _rank(test) if id(test) in latest else _AGAIN)


def _rank(test: Test) -> int:
    return _FIRST.get(test["outcome"], 3 if _unsure(test) else 4 if test.get("verdicts") else 5)


def _unsure(test: Test) -> bool:
    return "passed" not in test and is_unsure(test)


def card(test: Test, anchor: str | None, *, pictures: bool = True) -> Markup:
    """One of them.

    Args:
        test: its document.
        anchor: id of its details, None = it has none.
        pictures: beside its limits.
    """
    outcome = test["outcome"]
    return tag(
        "article",
        tag("h3", outcome_sign(test), " ", _name(test, anchor)),
        _inside(test, anchor, pictures),
        class_=f"card {_tone(test)}{'' if _has_more(test) else ' plain'}",
        data_outcome="failed" if outcome in BAD else outcome,
        data_unsure=True if _unsure(test) else None,
        data_text=filter_text(test),
    )


def filter_text(test: Test) -> str:
    """What the filter looks for its words in."""
    return f"{test['nodeid']} {test['outcome']}".lower()


def _tone(test: Test) -> str:
    outcome = test["outcome"]
    return "unsure" if outcome == "passed" and _unsure(test) else TONES.get(outcome, "quiet")


def outcome_sign(test: Test) -> Markup:
    """Its outcome; one that passed with something undecided or not judged is not green."""
    return sign(test["outcome"], tone=_tone(test))


def sign(outcome: str, said: str | None = None, tone: str | None = None) -> Markup:
    """An outcome, or the word of a verdict, as sign and word.

    Args:
        outcome: the same.
        said: other words for it.
        tone: another one of `words.TONES`.
    """
    mark = tag("span", SIGNS.get(outcome, "?"), aria_hidden="true", class_="sign")
    shown = tone or TONES.get(outcome, "quiet")
    return tag("span", mark, said or word(outcome), class_=f"outcome {shown}")


def _name(test: Test, anchor: str | None) -> Markup:
    file, name = test["nodeid"].partition("::")[0], broken(short_name(test["nodeid"]))
    shown = tag("a", name, href=f"#{anchor}") if anchor else tag("span", name)
    attempt = tag("span", f"attempt {test['attempt']}", class_="attempt") if test["attempt"] > 1 else None
    number = tag("span", count(test["passed"], "case"), class_="attempt") if "passed" in test else None
    return join(tag("span", shown, class_="name"), attempt, number, tag("span", file, class_="file"))


def _has_more(test: Test) -> bool:
    return bool(test.get("verdicts") or test.get("not_judged") or test["outcome"] in BAD)


def _inside(test: Test, anchor: str | None, pictures: bool) -> list[Child]:
    hostile = test.get("survival")
    inside: list[Child] = (
        [tag("p", f"Hostile inputs: {survival_text(hostile)}", class_="note")] if hostile else []
    )
    if "passed" in test:
        return [*inside, verdict_list(test.get("verdicts", ()), test["outcome"], pictures=pictures)]
    inside += [_harm(test), *_by_itself(test)]
    told = worst_first(test["verdicts"])
    inside.append(verdict_list(told[:MOST], test["outcome"], test.get("not_judged"), pictures=pictures))
    if len(told) > MOST:
        more = f"{count(len(told) - MOST, 'further limit')} of it"
        inside.append(tag("p", tag("a", more, href=f"#{anchor}") if anchor else more))
    inside.append(tag("p", test["session"], class_="note") if test.get("session") else None)
    if test.get("liveness") and not any(test["liveness"] in each["sentence"] for each in told):
        inside.append(tag("p", test["liveness"], class_="note"))
    # Where it was expected to fail nobody looks for what ran short.
    return [*inside, diagnosis(test.get("diagnosis") or ()) if test["outcome"] in BAD else None]


def worst_first(verdicts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """As they stand on a card: those that make the test fail, then by their words."""
    return sorted(verdicts, key=lambda each: (not fails(each), _ORDER[each["verdict"]]))


def _harm(test: Test) -> Markup | None:
    """What became of the hostile inputs that were not survived."""
    found = unsurvived(test)
    more = [f"and {len(found) - _HARMS} other faults"] if len(found) > _HARMS else []
    return items([*found[:_HARMS], *more], class_="harm")


def _by_itself(test: Test) -> list[Child]:
    """Why a test is as it is, where that is no limit."""
    outcome, verdicts, error = test["outcome"], test["verdicts"], error_text(test)
    if outcome == "interrupted":
        return [tag("p", "Interrupted before a limit was judged.")]
    if outcome not in BAD and not (outcome == "xfailed" and error):
        return []
    if error:
        where = "Error in its setup or teardown" if outcome == "error" else "Failed by itself"
        hint = "" if test["raised"].get("text") else " (--llm-keep-text: with its message)"
        return [tag("p", f"{where}: ", tag("strong", error), hint, class_="itself")]
    if not verdicts:
        where = "an error in its setup or teardown" if outcome == "error" else "an error of its own"
        return [tag("p", f"No limit was judged: {where}.")]
    if any(map(fails, verdicts)) or test.get("liveness") or not is_unsure(test):
        return []
    return [tag("p", "Undecided counts as failed here: --llm-strict, or warnings that are errors.")]


def verdict_list(
    verdicts: Sequence[Mapping[str, Any]],
    outcome: str = "failed",
    not_judged: str | None = None,
    *,
    pictures: bool = True,
) -> Markup | None:
    """Each verdict: word, picture, sentence; last what was not judged.

    Args:
        verdicts: of a test.
        outcome: of the same.
        not_judged: which promise was not, and why.
        pictures: with the figures against their limits drawn.
    """
    rows = [
        tag(
            "li",
            _verdict_sign(each, outcome),
            sentence(_said(each)),
            verdict_bar(each) if pictures else None,
        )
        for each in verdicts
    ]
    if not_judged:
        rows.append(tag("li", sign("undecided", "not judged"), tag("span", not_judged, class_="sentence")))
    return tag("ul", rows, class_="verdicts") if rows else None


def _verdict_sign(verdict: Mapping[str, Any], outcome: str) -> Markup:
    """Its word, and what it means for the test where that is not plain."""
    found, why = verdict["verdict"], why_it_fails(verdict)
    if found == "fail" and outcome == "xfailed":
        return sign(found, "fail, as expected", "quiet")
    if why and outcome in BAD:
        return sign(found, f"undecided, {why}: fails", "bad")
    return sign(found)


def _said(verdict: Mapping[str, Any]) -> str:
    case = f" ({verdict['cases']}: {verdict['case']})" if "cases" in verdict else ""
    return f"{verdict['sentence']}{case}"


def sentence(said: str) -> Markup:
    """A verdict's: promised and found stand out from what they rest on."""
    first, rest = halves(said)
    return tag("span", tag("strong", first), tag("span", rest) if rest else None, class_="sentence")


def halves(said: str) -> tuple[str, str]:
    """As "p95 TTFT 12 ms <= 20 ms", " (n=300)": cut where the limit has been told."""
    compared = _COMPARED.search(said)
    cut = _CUT.search(said, compared.end() if compared else 0)
    return (said[: cut.start()], said[cut.start() :]) if cut else (said, "")


def diagnosis(found: Sequence[Mapping[str, Any]]) -> Markup | None:
    """What ran short."""
    if not found:
        return None
    lines = [join(tag("strong", each["what"]), ": ", each["sentence"]) for each in found]
    return tag("div", tag("h4", "Diagnosis"), items(lines), class_="diagnosis")

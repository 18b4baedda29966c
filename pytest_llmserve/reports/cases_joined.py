"""Parametrized cases that kept all their limits: a row a function, of each limit the closest case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Test = Mapping[str, Any]
_TO_SAY = ("diagnosis", "not_judged", "liveness", "stacks_missing", "disconnects", "stacks")


def joined(rows: Sequence[Test]) -> list[Test]:
    """The same rows, but for one a function for its cases that passed, where the first of them stood.

    Such a row has `passed`, their number, `first`, and of each limit the verdict that came closest to it,
    with `cases` ("the closest of 3 cases") and `case` ("[100]"). Cases with anything else to say stay as
    they are; so does one that is alone.

    Args:
        rows: tests of a document, of whom some may be together already.
    """
    alike: dict[str, list[Test]] = {}
    for row in rows:
        if _kept_all(row):
            alike.setdefault(_function(row), []).append(row)
    result: list[Test] = []
    for row in rows:
        cases = alike.get(_function(row), []) if _kept_all(row) else []
        if len(cases) < 2:
            result.append(row)
        elif cases[0] is row:
            result.append(_together(cases))
    return result


def _kept_all(row: Test) -> bool:
    """Of a parametrized test, passed at the first attempt, with limits that are all kept."""
    if "[" not in row["nodeid"].partition("::")[2] or "passed" in row or row["outcome"] != "passed":
        return False
    kept = row.get("kept")
    if row["attempt"] > 1 or any(row.get(key) for key in _TO_SAY) or (kept and kept["left_out"] is not None):
        return False
    return bool(row["verdicts"]) and all(verdict["verdict"] == "pass" for verdict in row["verdicts"])


def _function(row: Test) -> str:
    file, colons, rest = row["nodeid"].partition("::")
    return str(file + colons + rest.partition("[")[0])


def _together(cases: Sequence[Test]) -> Test:
    """One row. Cases may have different limits: each is a limit of its own."""
    limits: dict[tuple[str, str, float], list[tuple[Test, Mapping[str, Any]]]] = {}
    for case in cases:
        for verdict in case["verdicts"]:
            key = (verdict["check"], verdict["what"], verdict["limit"])
            limits.setdefault(key, []).append((case, verdict))
    return {
        "nodeid": _function(cases[0]),
        "outcome": "passed",
        "attempt": 1,
        "passed": len(cases),
        "verdicts": [_closest(found) for found in limits.values()],
        "first": cases[0],
    }


def _closest(found: Sequence[tuple[Test, Mapping[str, Any]]]) -> Mapping[str, Any]:
    case, verdict = min(found, key=lambda one: _distance(one[1]))
    if len(found) == 1:
        return dict(verdict) | {"cases": "one case", "case": _parameters(case)}
    word = "one" if _distance(verdict) == float("inf") else "the closest"
    return dict(verdict) | {"cases": f"{word} of {len(found)} cases", "case": _parameters(case)}


def _distance(verdict: Mapping[str, Any]) -> float:
    """Of the estimate from the limit that it keeps; infinite where either is not known."""
    if verdict["estimate"] is None or verdict["limit"] is None:
        return float("inf")
    return abs(float(verdict["estimate"]) - float(verdict["limit"]))


def _parameters(case: Test) -> str:
    return str(case["nodeid"].removeprefix(_function(case)))

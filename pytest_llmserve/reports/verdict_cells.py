"""A verdict's sentence, taken apart for a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_UNITS = r"%| percentage points| (?:MB|ms|s|requests/s|tokens/s)\b(?: per (?:hour|1000 requests))?"
_COMPARED = re.compile(rf"(?P<found>.+?) (?P<sign><=|>=|<|>) (?P<limit>-?[\d.e+]*\d(?:{_UNITS})?)")
_NEVER = "never (failed)"
_FAILED = re.compile(r": ((?:\d+ of \d+|all \d+) requests|the only request) failed")
_CLAUSE = re.compile(r" \(|; |, so ")
_SIGNS = {"<=": "at most", ">": "at most", ">=": "at least", "<": "at least"}


def found_and_limit(verdict: Mapping[str, Any]) -> tuple[str, str]:
    """Both with their units, such as "7.41 ms" and "at most 1 ms".

    Of a sentence that compares nothing, its first clause, and no limit.
    """
    sentence = str(verdict["sentence"])
    said = sentence.removeprefix(str(verdict["what"])).lstrip(": ")
    compared = _COMPARED.match(said)
    if compared is None:
        return _CLAUSE.split(said, maxsplit=1)[0], ""
    found, many = compared["found"], _FAILED.search(sentence)
    if found == _NEVER and many is not None:
        found = f"never, {many[0].removeprefix(': ')}"
    return found, f"{_SIGNS[compared['sign']]} {compared['limit']}"


def fails(verdict: Mapping[str, Any]) -> bool:
    """Whether the test fails for it, also without `--llm-strict`."""
    return verdict["verdict"] == "fail" or (verdict["verdict"] == "undecided" and not verdict["holds"])


def why_undecided_fails(verdict: Mapping[str, Any]) -> str:
    """As "over the limit"; of a limit that is undecided, and that the test fails for."""
    limit = found_and_limit(verdict)[1]
    if verdict["holds"] is None or not limit:
        return "no evidence" if verdict["holds"] is None else "not within the limit"
    return "under the limit" if limit.startswith("at least") else "over the limit"


def quantity(verdict: Mapping[str, Any]) -> str:
    """What was judged, without the name of the marker before it."""
    if verdict["what"] == verdict["check"] == "isolation":
        return "answers"
    return str(verdict["what"]).removeprefix(f"{verdict['check']}: ")


def at_least(verdict: Mapping[str, Any]) -> bool | None:
    """Its limit is the least that will do, not the most; None where its sentence compares nothing with it."""
    said = str(verdict["sentence"]).partition(str(verdict["what"]))[2]
    compared = None if said.startswith(":") else _COMPARED.match(said)
    return None if compared is None else _SIGNS[compared["sign"]] == "at least"

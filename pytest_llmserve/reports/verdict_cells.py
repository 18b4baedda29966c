"""A verdict's sentence, taken apart for a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_UNITS = r"%| percentage points| (?:MB|ms|s|requests/s|tokens/s)\b(?: per (?:hour|1000 requests))?"
_COMPARED = re.compile(rf"(?P<found>.+?) (?P<sign><=|>=|<|>) (?P<limit>-?[\d.e+]*\d(?:{_UNITS})?)")
_SIGNS = {"<=": "at most", ">": "at most", ">=": "at least", "<": "at least"}


def found_and_limit(verdict: Mapping[str, Any]) -> tuple[str, str]:
    """Both with their units, such as "7.41 ms" and "at most 1 ms".

    Of a sentence that compares nothing, what it says, and no limit.
    """
    said = str(verdict["sentence"]).removeprefix(str(verdict["what"])).lstrip(": ")
    compared = _COMPARED.match(said)
    if compared is None:
        return said, ""
    return compared["found"], f"{_SIGNS[compared['sign']]} {compared['limit']}"

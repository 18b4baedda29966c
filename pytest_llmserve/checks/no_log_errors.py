"""Nothing like an out-of-memory, a traceback or a panic in the server's log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.finding import Finding, conclude, no_evidence
from pytest_llmserve.domain.keywords import keyword
from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.domain.verdict import FAIL, PASS, Verdict

_WHAT = "error lines in the server's log"
Regexes = tuple[re.Pattern[str], ...]


def regexes(value: object) -> Regexes:
    """Regular expressions: one, or a list of them, as texts or compiled.

    Raises:
        ValueError: one of them is none, or matches every line.
    """
    single = isinstance(value, (str, re.Pattern))
    given: Any = [value] if single else value
    if not isinstance(given, (list, tuple)) or not given:
        raise ValueError(f"{value!r} is not a list of regular expressions")
    return tuple(_regex(one) for one in given)


def _regex(value: object) -> re.Pattern[str]:
    if isinstance(value, re.Pattern):
        value = value if isinstance(value.pattern, str) else value.pattern
    if not isinstance(value, (str, re.Pattern)):
        raise ValueError(f"{value!r} is not a regular expression of text")
    try:
        regex = re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    if regex.search(""):
        raise ValueError(f"{regex.pattern!r} matches every line")
    return regex


@dataclass(frozen=True, kw_only=True)
class NoLogErrors:
    """No line of the server's log tells of an error during the test.

    A bare marker looks for the usual ones.
    """

    name: ClassVar[str] = "no_log_errors"
    stops_early: ClassVar[bool] = False

    patterns: tuple[re.Pattern[str], ...] = keyword(
        regexes, (), doc="regular expressions of lines that count too"
    )
    only: tuple[re.Pattern[str], ...] = keyword(
        regexes, (), doc="regular expressions of the only lines that count"
    )
    allow: tuple[re.Pattern[str], ...] = keyword(
        regexes, (), doc="regular expressions of lines that do not count"
    )

    def __post_init__(self) -> None:
        if self.patterns and self.only:
            raise ValueError("only= and patterns= exclude each other: patterns= counts beside the usual ones")

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """One verdict; a log that is not known, or was lost while all was well, is no evidence."""
        log = evidence.log
        if log.missing is not None and not log.errors:
            return conclude([no_evidence(self.name, _WHAT, 0.0, log.missing)])
        return conclude([self._finding(evidence)])

    def _finding(self, evidence: Evidence) -> Finding:
        log = evidence.log
        holds = log.errors == 0
        return Finding(
            check=self.name,
            what=_WHAT,
            limit=0.0,
            estimate=float(log.errors),
            n=log.read,
            holds=holds,
            settled=PASS if holds else FAIL,
            head=f"no {_WHAT.replace('lines', 'line')}" if holds else _told(evidence),
            basis=f"n={log.read} lines",
            note=_note(log),
            gone=next((gone for run in evidence.runs if (gone := run.generator.server_gone)), None),
        )


def _told(evidence: Evidence) -> str:
    log = evidence.log
    when = ""
    if evidence.started_ns is not None and log.lines:
        after_s = (min(line.at_ns for line in log.lines) - evidence.started_ns) / NS_PER_S
        when = f", from {max(0.0, after_s):.1f} s into the test on"
    return f"{_WHAT} {log.errors} > 0: {log.kinds}{when}"


def _note(log: LogWindow) -> str:
    parts = [
        "nothing was written to it" if not log.read else "",
        f"{log.allowed} allowed lines left out" if log.allowed else "",
        f"of {log.cut} very long lines only the beginning was read" if log.cut else "",
        log.missing or "",
    ]
    return "; ".join(part for part in parts if part)

"""Error lines of the server's log, beside the requests of their moment."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from pytest_llmserve.domain.log import LogLine, LogWindow
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.reports.answers import deadline, without_answers

_REQUESTS = 4


def log_lines(
    log: LogWindow, runs: Sequence[LoadResult], started_ns: int, most: int, keep_text: bool = True
) -> list[str]:
    """The first lines of each kind with their time into the test; empty when there are none.

    Args:
        log: of the whole test.
        runs: of the test, in order.
        started_ns: monotonic clock, when the test began.
        most: so many lines are shown, of each kind one at least.
        keep_text: they may hold answers.
    """
    if not log.errors:
        return []
    told = chosen(log.lines, most)
    more = f", {len(told)} of them" if len(told) < log.errors else ""
    lines = [f"server's log, error lines: {log.kinds}{more}:"]
    is_late = deadline()
    for (since_ns, at_ns), group in groupby(told, key=lambda line: (line.since_ns, line.at_ns)):
        at_s = max(0, at_ns - started_ns) / NS_PER_S
        texts = [line.text for line in group]
        if not keep_text:
            texts = without_answers(texts, runs, is_late, (since_ns, at_ns))
        lines += [f"  {at_s:.1f} s into the test: {text}" for text in texts]
        beside = requests_beside(runs, since_ns, at_ns)
        lines += [f"    requests of that moment: {beside}"] if beside else []
    return lines


def chosen(lines: Sequence[LogLine], most: int) -> list[LogLine]:
    """The first line of each pattern, and then the first ones, in the order in which they came."""
    first = {line.pattern: place for place, line in reversed(list(enumerate(lines)))}
    places = sorted(first.values())
    others = [place for place in range(len(lines)) if place not in set(places)]
    return [lines[place] for place in sorted([*places, *others[: max(0, most - len(places))]])]


def requests_beside(runs: Sequence[LoadResult], since_ns: int, at_ns: int) -> str:
    """The requests that were under way between two instants: "14 (http_5xx), 15 and 3 more".

    Those that failed then come first. Rounds of a comparison are left out: their stamps were moved.
    """
    told = []
    for number, run in enumerate(runs, 1):
        if run.rounds is not None:
            continue
        beside = [r for r in run.tried if _was_under_way(r, since_ns, at_ns)]
        beside.sort(key=lambda r: (r.ok or r.end_ns is None or r.end_ns > at_ns, r.id))
        if beside:
            of_run = f" of run {number}" if len(runs) > 1 else ""
            told.append(_ids(beside) + of_run)
    return "; ".join(told)


def _was_under_way(record: RequestRecord, since_ns: int, at_ns: int) -> bool:
    begun = record.sent_ns is not None and record.sent_ns <= at_ns
    return begun and (record.end_ns is None or record.end_ns >= since_ns)


def _ids(records: Sequence[RequestRecord]) -> str:
    ids = [f"{r.id}" if r.ok else f"{r.id} ({r.outcome})" for r in records[:_REQUESTS]]
    more = len(records) - len(ids)
    return f"id {', '.join(ids)}" + (f" and {more} more" if more else "")


def log_document(log: LogWindow, started_ns: int | None, keep_text: bool) -> dict[str, Any]:
    """For the JSON report. What lines say, as answers, only with `keep_text`: they may hold prompts."""
    return {
        "files": list(log.files),
        "errors": log.errors,
        "by_pattern": dict(log.counts),
        "lines": [_line(line, started_ns, keep_text) for line in log.lines],
        "read": log.read,
        "allowed": log.allowed,
        "cut": log.cut,
        "missing": log.missing,
    }


def _line(line: LogLine, started_ns: int | None, keep_text: bool) -> dict[str, Any]:
    at_s = None if started_ns is None else round((line.at_ns - started_ns) / NS_PER_S, 3)
    row = {"at_s": at_s, "pattern": line.pattern, "chars": len(line.text)}
    return row | {"text": line.text} if keep_text else row

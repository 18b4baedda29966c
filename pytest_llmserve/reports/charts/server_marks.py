"""What happened to the server at which instant of a test, as marks on its time axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.recovery import Outage
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.domain.units import NS_PER_S, duration_text

RESTART, GONE, LOG, STALL = "restart", "gone", "log", "stall"
MOST_OF_A_KIND = 30
STALL_NS = NS_PER_S
"""A reading this much too late: this process, or the whole machine, did not come to it."""
_TEXT = 120

Row = dict[str, Any]


def server_marks(
    window: ResourceWindow,
    log: LogWindow,
    zero_ns: int,
    *,
    outages: Sequence[Outage] = (),
    fate: str | None = None,
    keep_text: bool = False,
) -> list[Row]:
    """Rows of "at_s", "until_s" (of a stretch), "kind" and "label", in the order of time; 30 of a kind.

    Args:
        window: the server's samples through the test.
        log: what its log told.
        zero_ns: monotonic clock, when the test began.
        outages: times in which the test waited for the server to come back.
        fate: what became of it, in a sentence, where its process ended; it is marked behind the last reading.
        keep_text: what the lines of the log say may be told.
    """
    kinds = (
        _restarts(window, outages, zero_ns),
        _ends(window, fate, zero_ns),
        _kills(window, zero_ns),
        _log(log, keep_text, zero_ns),
        _stalls(window, zero_ns),
    )
    rows = [row for kind in kinds for row in list(kind)[:MOST_OF_A_KIND]]
    return sorted(rows, key=lambda row: row["at_s"])


def _row(kind: str, label: str, zero_ns: int, at_ns: int, until_ns: int | None = None) -> Row:
    row = {"at_s": round((at_ns - zero_ns) / NS_PER_S, 3), "kind": kind, "label": label}
    return row if until_ns is None else row | {"until_s": round((until_ns - zero_ns) / NS_PER_S, 3)}


def _restarts(window: ResourceWindow, outages: Sequence[Outage], zero_ns: int) -> Iterator[Row]:
    for each in outages:
        yield _row(RESTART, each.what, zero_ns, each.began_ns, each.ended_ns)
    known = [(each.began_ns, each.ended_ns) for each in outages]
    for at_ns in window.renewed_ns:
        if not any(began_ns <= at_ns <= ended_ns + NS_PER_S for began_ns, ended_ns in known):
            yield _row(RESTART, "watched as another process from here on", zero_ns, at_ns)


def _ends(window: ResourceWindow, fate: str | None, zero_ns: int) -> Iterator[Row]:
    """Its processes were read until then."""
    read = [sample.at_ns for sample in window.samples if sample.processes]
    if fate is not None and read:
        yield _row(GONE, fate, zero_ns, read[-1])


def _kills(window: ResourceWindow, zero_ns: int) -> Iterator[Row]:
    counted = [(s.at_ns, s.oom_kills) for s in window.samples if s.oom_kills is not None]
    for (_, before), (at_ns, after) in pairwise(counted):
        rise = after - before
        if rise > 0:
            label = f"its control group counted {rise} out-of-memory kill{'s' if rise > 1 else ''}"
            yield _row(GONE, label, zero_ns, at_ns)


def _log(log: LogWindow, keep_text: bool, zero_ns: int) -> Iterator[Row]:
    for (at_ns, pattern), group in groupby(log.lines, key=lambda line: (line.at_ns, line.pattern)):
        lines = list(group)
        more = f", {len(lines)} lines" if len(lines) > 1 else ""
        said = f": {lines[0].text[:_TEXT]}" if keep_text else ""
        yield _row(LOG, f"log: {pattern}{more}{said}", zero_ns, at_ns)


def _stalls(window: ResourceWindow, zero_ns: int) -> Iterator[Row]:
    for sample in window.samples:
        if sample.late_ns >= STALL_NS:
            late = duration_text(round(sample.late_ns, -8))
            label = f"nothing was read for {late}: this machine was busy elsewhere or asleep"
            yield _row(STALL, label, zero_ns, sample.at_ns - sample.late_ns, sample.at_ns)

"""A comparison of kept runs in words: what every form of its report says alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

HEADS = ("figure", "before", "after", "change")
THERE = "there = before, here = after"
_NAMED = 4
"""Differences that the headline names on either side."""
_SHORT = {"error_rate": "errors %", "throughput": "requests/s", "output_tokens_per_s": "tokens/s"}
_FIGURES = {"e2e": "e2e", "ttft": "TTFT", "tpot": "TPOT"}


def headline(document: Mapping[str, Any]) -> str:
    """The whole in a sentence: what got worse, what better, and that the rest shows nothing."""
    found = [row for run in document["runs"] for row in run["differences"]]
    judged = _judged([verdict["verdict"] for verdict in document["verdicts"]])
    if not found:
        return "; ".join([*judged, "nothing could be compared"])
    several = len(document["runs"]) > 1
    worse, better = (
        [
            _seen(row, run, several)
            for run in document["runs"]
            for row in run["differences"]
            if row["seen"] and row["worse"] is bad
        ]
        for bad in (True, False)
    )
    quiet = sum(row["seen"] is False for row in found)
    unknown = sum(row["seen"] is None for row in found)
    parts = [f"{word}: {_first(seen)}" for word, seen in (("worse", worse), ("better", better)) if seen]
    parts += [f"no difference seen in {quiet} of {_figures(len(found))}"] if quiet else []
    parts += [f"{unknown} not known"] if unknown else []
    return "; ".join([*judged, *parts])


def _judged(words: Sequence[str]) -> list[str]:
    """Of the promises first, where there are any: "3 of 5 limits broken"."""
    if not words:
        return []
    failed, undecided = words.count("fail"), words.count("undecided")
    total = f"{len(words)} limit{'' if len(words) == 1 else 's'}"
    if failed:
        return [f"{failed} of {total} broken{f', {undecided} undecided' if undecided else ''}"]
    return [f"{undecided} of {total} undecided" if undecided else f"every limit of {len(words)} holds"]


def title(document: Mapping[str, Any]) -> str:
    """What is held against what."""
    return f"{document['after']} against {document['before']}"


def run_title(run: Row) -> str:
    """Test and number of a run."""
    return f"{run['test']} run {run['run']}"


def label(row: Row) -> str:
    """A figure in few letters: "e2e p95 ms", "tokens/s"."""
    metric: str = row["metric"]
    if metric in _SHORT:
        return _SHORT[metric]
    figure, _, quantile = metric.partition("_")
    return f"{_FIGURES[figure]} {quantile} ms"


def cells(row: Row) -> list[str]:
    """A row under `HEADS`."""
    return [label(row), number(row["before"]), number(row["after"]), row["sentence"]]


def number(value: float | None) -> str:
    """A figure with the digits that matter; what is not known, or never came, is a dash."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def warnings(run: Row) -> list[str]:
    """What makes the differences of a run something else than the server's."""
    kinds = {"not the same load": run["unlike"], "not the same surroundings": run["elsewhere"]}
    told = [
        f"{what}: {'; '.join(found)} ({THERE}); differences may come of that"
        for what, found in kinds.items()
        if found
    ]
    return [*told, *(f"in doubt: {doubt}" for doubt in run["doubts"])]


def sides(run: Row) -> list[str]:
    """What each side is: how many requests, when, of which server."""
    return [f"{name}: {_side(run[name])}" for name in ("before", "after")]


def note(run: Row) -> str:
    """How the intervals of one table are to be read."""
    known = [row for row in run["differences"] if row["interval"] is not None]
    if not known:
        return "no interval could be given"
    sure = f"{100 * known[0]['confidence']:.0f}%"
    return f"all intervals of the table hold together with {sure}: each is that much wider"


def named_verdicts(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The verdicts; where there are several tests each says of which it is."""
    found = document["verdicts"]
    several = len({each["test"] for each in found}) > 1
    return [
        {**each, "sentence": f"{each['test']}: {each['sentence']}"} if several else dict(each)
        for each in found
    ]


def verdict_lines(document: Mapping[str, Any]) -> list[str]:
    """A line for each verdict."""
    return [f"{each['verdict']}: {each['sentence']}" for each in named_verdicts(document)]


def _side(side: Row) -> str:
    counts, server = side["counts"], side["server"]
    parts = [f"{counts.get('sent', 0)} requests, {counts.get('failed', 0)} failed"]
    if server.get("model") or server.get("url"):
        parts.append(str(server.get("model") or server["url"]))
    if side["taken_at"]:
        parts.append(f"measured {side['taken_at']}")
    return ", ".join(parts)


def _seen(row: Row, run: Row, several: bool) -> str:
    said = f"{row['name']} {str(row['sentence']).partition(' (')[0]}"
    return f"{said} ({run_title(run)})" if several else said


def _first(seen: Sequence[str]) -> str:
    more = f" and {len(seen) - _NAMED} more" if len(seen) > _NAMED else ""
    return ", ".join(seen[:_NAMED]) + more


def _figures(amount: int) -> str:
    return f"{amount} figure{'' if amount == 1 else 's'}"

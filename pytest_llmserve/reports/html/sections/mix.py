"""How the tasks of a mix were answered, and what answers carried of other requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.reports.html.markup import Child, Markup, tag
from pytest_llmserve.reports.html.tables import part, table
from pytest_llmserve.reports.html.words import count, number, percent, whole


def mix(found: Mapping[str, Any] | None) -> Markup | None:
    """Shares of right answers under the mix and alone; None without a mix."""
    if found is None:
        return None
    rows = [
        [
            task["task"],
            whole(task["n"]),
            percent(task["right"]),
            percent(task["right_alone"]),
            whole(task["n_alone"]),
            percent(task["same_answers"]),
        ]
        for task in found["tasks"]
    ]
    left = found.get("aborted")
    heads = ("task", "answers", "right", "right alone", "of asked alone", "same words")
    return part(
        5,
        "Mix of tasks",
        table("Answers in the mix, and of the same requests alone", heads, rows),
        tag("p", f"{count(left, 'further request')} left in the middle.") if left else None,
    )


def carried(verdicts: Sequence[Mapping[str, Any]]) -> list[Markup | None]:
    """Of each isolation verdict: how many answers were read, and each that carried something of another."""
    return [_carried(each["answers"]) for each in verdicts if each.get("answers")]


def _carried(found: Mapping[str, Any]) -> Markup | None:
    said = (
        f"{count(found['answers'], 'answer')} read, {found['repeated']:,} of them with their own mark;"
        f" {found['guilty']:,} carried something of another request;"
        f" {found['not_kept']:,} could not be read."
    )
    rows: list[list[Child]] = [
        [
            _asked(one["answer"]),
            _asked(one["owner"]),
            one["mark"] or "the whole answer",
            whole(one["at_char"]),
            number(one["apart_s"]),
        ]
        for one in found["carried"]
    ]
    heads = ("answer", "belongs to", "mark", "at character", "apart, s")
    words = ("belongs to", "mark")
    told = table("Answers with something of another request", heads, rows, words=words) if rows else None
    return part(4, "Isolation", tag("p", said), told)


def _asked(one: Mapping[str, Any]) -> str:
    parts = [f"id {one['id']}" if one.get("id") is not None else "a request"]
    parts += [str(one["task"])] if one.get("task") is not None else []
    parts += [f"run {one['run']}"] if one.get("run") else []
    parts += ["asked alone"] if one.get("alone") else []
    parts += ["its client had left"] if one.get("aborted") else []
    parts += [f"at {number(one['at_s'])} s"] if one.get("at_s") is not None else []
    return ", ".join(parts)

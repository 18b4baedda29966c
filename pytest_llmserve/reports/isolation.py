"""What answers carried of other requests, and how the tasks of a mix were answered: lines and documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_llmserve.checks.task_figures import TaskFigures, task_figures
from pytest_llmserve.checks.wording import percent
from pytest_llmserve.domain.isolation import Asked, Carried
from pytest_llmserve.domain.mix import TaskMix
from pytest_llmserve.domain.verdict import Verdict

_PAIRS = 5


def carried_lines(verdicts: Sequence[Verdict], runs: int = 1) -> list[str]:
    """The first answers that carried something of another request, each with its owner; or nothing.

    Args:
        verdicts: of a test.
        runs: how many it has: of several, each request is told with the number of its own.
    """
    lines = []
    for verdict in verdicts:
        if verdict.answers is None or not verdict.answers.carried:
            continue
        told = verdict.answers.carried[:_PAIRS]
        more = f", {len(told)} of {verdict.answers.guilty}" if len(told) < verdict.answers.guilty else ""
        lines.append(f"answers with something of another request{more}:")
        for one in told:
            lines.append(f"  {_carried(one, runs)}")
            lines += [] if one.excerpt is None else [f"    ...{one.excerpt!r}..."]
    return lines


def mix_document(mix: TaskMix) -> dict[str, Any]:
    """The figures of a mix, by task, for the JSON report; shares are 0 to 1, what is not known is null."""
    return {
        "tasks": [_task_document(each) for each in task_figures(mix)],
        "repeatable": mix.repeatable,
        "asked_alone": None if mix.alone is None else len(mix.alone.requests),
        "aborted": len(mix.left_meanwhile),
    }


def mix_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """One line for each task: "sentiment: 60 answers, right 71.7%, 96% of 50 alone, same words 90%".

    Args:
        found: a mix as the report has it.
    """
    for task in found["tasks"]:
        parts = [f"{task['n']} answers"]
        if task["right"] is not None:
            parts.append(f"right {percent(task['right'])}%")
        if task["right_alone"] is not None:
            parts.append(f"{percent(task['right_alone'])}% of {task['n_alone']} alone")
        if task["same_answers"] is not None:
            parts.append(f"same words {percent(task['same_answers'])}%")
        yield f"{task['task']}: {', '.join(parts)}"
    if found["aborted"]:
        yield f"{found['aborted']} further requests left in the middle"


def _carried(one: Carried, runs: int) -> str:
    answer, owner = _asked(one.answer, runs), _asked(one.owner, runs)
    if one.mark is None:
        return f"{answer} is what {owner} was answered when asked alone{_when(one)}"
    return f"{answer} carried [{one.mark}] of {owner} at character {one.at_char}{_when(one)}"


def _asked(asked: Asked, runs: int) -> str:
    parts = [] if asked.task is None else [asked.task]
    parts += ["asked alone"] if asked.alone else []
    parts += [f"run {asked.run}"] if runs > 1 and asked.run else []
    parts += [] if asked.at_s is None else [f"at {asked.at_s:.1f} s"]
    name = "a request" if asked.id is None else f"id {asked.id}"
    if asked.aborted:
        return f"{name} that its client had left"
    told = f" ({', '.join(parts)})" if parts else ""
    return name + told


def _when(one: Carried) -> str:
    if one.apart_s is None:
        return ""
    over = "left" if one.owner.aborted else "over"
    return f", {over} {one.apart_s:.1f} s before" if one.apart_s else ", both under way at once"


def _task_document(figures: TaskFigures) -> dict[str, Any]:
    alike = figures.alike
    return {
        "task": figures.task,
        "n": figures.answered,
        "right": _rounded(figures.share),
        "n_alone": len(figures.right_alone),
        "right_alone": _rounded(figures.share_alone),
        "n_both": len(alike),
        "same_answers": _rounded(sum(alike.values()) / len(alike) if alike else None),
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)

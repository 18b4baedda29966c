"""The tasks of a mix, looked through: every fault at once, every kind of check as a function."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import msgspec

from pytest_llmserve.domain.entry import Entry
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.mix import CANARY
from pytest_llmserve.domain.task import Manner, Task, name_fault
from pytest_llmserve.load.prompts import as_prompts

Judge = Callable[[str, str], bool]
"""Takes an answer's text and its request's mark; True when it is right."""

_CHECKS = (
    "give a function of the answer's text, a regular expression, or a list of the answers allowed; None ="
    " any answer will do"
)


class ReadyTask(msgspec.Struct, frozen=True):
    """A task in which nothing is wrong any more.

    Attributes:
        judge: None = any answer will do. Raises what the user's check raises.
    """

    name: str
    prompts: Sequence[Entry]
    judge: Judge | None = None
    manner: Manner = Manner()


def ready(tasks: Sequence[object]) -> list[ReadyTask]:
    """Look through the tasks of a call.

    Raises:
        SetupError: there is none; or what is wrong with all of them, by place and name.
    """
    if not tasks:
        raise SetupError(
            "no tasks: give one or more, such as"
            ' Task("capitals", ["What is the capital of France?"], check="Paris")'
        )
    faults, found, names = [], [], set[object]()
    for place, task in enumerate(tasks, 1):
        if not isinstance(task, Task):
            faults.append(f"task {place} is {task!r}: give Task(name, prompts, check)")
            continue
        wrong, own = _looked_through(task)
        if task.name in names:
            wrong.append("another task has this name: give each its own")
        names.add(task.name)
        faults += [f"task {place} ({task.name!r}): {fault}" for fault in wrong]
        found.append(own)
    if faults:
        raise SetupError("; ".join(faults))
    return [task for task in found if task is not None]


def _looked_through(task: Task) -> tuple[list[str], ReadyTask | None]:
    wrong = [name_fault(task.name)]
    if task.name == CANARY:
        wrong.append(f"{CANARY} is the name of the built-in task: choose another")
    prompts, judge = [], None
    try:
        prompts = as_prompts([] if task.prompts is None else task.prompts)
    except ValueError as error:
        wrong.append(str(error))
    try:
        judge = judge_of(task.check)
    except ValueError as error:
        wrong.append(f"check: {error}")
    wrong += [_params_fault(task.params), _path_fault(task.path)]
    told = [fault for fault in wrong if fault is not None]
    if told:
        return told, None
    return [], ReadyTask(task.name, prompts, judge, Manner(dict(task.params), task.path))


def _params_fault(params: object) -> str | None:
    if isinstance(params, Mapping) and all(isinstance(name, str) for name in params):
        return None
    return f'params: {params!r} is not a dict of request fields such as {{"temperature": 0}}'


def _path_fault(path: object) -> str | None:
    if path is None or (isinstance(path, str) and path.startswith("/") and not re.search(r"\s", path)):
        return None
    return f'path: {path!r} is not a path such as "/v1/emotion"'


def judge_of(check: Any) -> Judge | None:
    """A check in any of its forms as a function; None for none.

    Raises:
        ValueError: it is none of them; says what to write.
    """
    if check is None:
        return None
    if isinstance(check, (str, re.Pattern)):
        looked_for = _pattern(check)
        return lambda text, mark: looked_for.search(without_mark(text, mark)) is not None
    if isinstance(check, Collection) and not isinstance(check, (bytes, Mapping)):
        allowed = {_plain(answer) for answer in check if isinstance(answer, str)}
        if not check or not all(isinstance(answer, str) for answer in check):
            raise ValueError(f"{check!r} is not a list of the answers allowed, at least one text: {_CHECKS}")
        return lambda text, mark: _plain(without_mark(text, mark)) in allowed
    if not callable(check):
        raise ValueError(f"{check!r} cannot be called: {_CHECKS}")
    return lambda text, mark: bool(check(without_mark(text, mark)))


def _pattern(check: str | re.Pattern[Any]) -> re.Pattern[str]:
    try:
        found = re.compile(check)
    except re.error as error:
        raise ValueError(f"{check!r} is not a regular expression: {error}") from None
    if not isinstance(found.pattern, str):
        raise ValueError(f"{check!r} is of bytes: write it as text")
    return found


def _plain(answer: str) -> str:
    return answer.strip().casefold()


def without_mark(text: str, mark: str) -> str:
    """The answer as it would be without the mark that was put before its prompt: some models repeat it."""
    return re.sub(rf"\A\s*\[{re.escape(mark)}\]\s*", "", text) if mark else text


def check_fault(task: str, request_id: int, error: Exception) -> str:
    """What to say of a check that raised; where, as far as that is known."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {PurePath(place[0].filename).name}:{place[0].lineno}" if place else ""
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    return (
        f"the check of task {task!r} raised {said}{where} on the answer to request {request_id}:"
        " a check takes an answer's text and returns whether it is right, whatever the text"
    )

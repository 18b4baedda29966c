"""A named task of a mix: what is asked, and how to see that an answer is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pytest_llmserve.domain.entry import Entry

Check = Callable[[str], object]
"""Takes an answer's text; true when it is right. It sees nothing else, so answers can be judged later."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class Manner(msgspec.Struct, frozen=True):
    """How the requests of one task differ from the others of their load.

    Attributes:
        params: further fields; they win over the load's.
        path: where they go, when not where the API's do.
    """

    params: dict[str, Any] = msgspec.field(default_factory=dict)
    path: str | None = None


@dataclass(frozen=True)
class Task:
    """One of the jobs that a model does.

    Attributes:
        name: of letters, digits, "-" and "_"; what reports call it.
        prompts: what is asked, over and over: texts, lists of chat messages, or conversations.
        check: tells a right answer from another one: a function of the answer's text; a regular expression,
            as text or compiled, that is looked for anywhere in it; or a list or set of the answers allowed,
            of which it has to be one but for blanks around it and capitals. None = any answer will do.
        params: further fields of its requests, such as {"temperature": 0}; they win over the load's.
        path: where its requests go, when not where the API's do.
    """

    name: str
    prompts: Sequence[Entry]
    check: Check | re.Pattern[str] | str | Collection[str] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    path: str | None = None


def name_fault(name: object) -> str | None:
    """What is wrong with the name of a task, or None."""
    if isinstance(name, str) and _NAME.match(name):
        return None
    return f'the name {name!r} is not of letters, digits, "-" and "_" alone, at most 64 of them'

"""A named task of a mix: what is asked, and how to see that an answer is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_llmserve.domain.exchange import Prompt

Check = Callable[[str], object]
"""Takes an answer's text; true when it is right. It sees nothing else, so answers can be judged later."""


@dataclass(frozen=True)
class Task:
    """One of the jobs that a model does.

    Attributes:
        name: of letters, digits, "-" and "_"; what reports call it.
        prompts: what is asked, over and over: texts or lists of chat messages.
        check: tells a right answer from another one; None = any answer will do.
        params: further fields of its requests, such as {"temperature": 0}; they win over the load's.
        path: where its requests go, when not where the API's do.
    """

    name: str
    prompts: Sequence[Prompt]
    check: Check | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    path: str | None = None

"""A conversation as ShareGPT's exports and their many descendants write it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmserve.domain.entry import Conversation

_LISTS = ("conversations", "conversation", "messages")
_USER = frozenset({"human", "user"})
_MODEL = frozenset({"gpt", "assistant", "chatgpt", "model", "bing", "bard"})


def is_sharegpt(row: Any) -> bool:
    """A row with a list of what was said by turns, under a name that only conversations have."""
    return isinstance(row, Mapping) and any(name in row for name in _LISTS[:2])


def conversation_of(row: Any, most_turns: int | None = None) -> Conversation | None:
    """The conversation of a row; None where the user says nothing in it.

    Raises:
        ValueError: it is not of this shape.
    """
    name = next((name for name in _LISTS if isinstance(row, Mapping) and name in row), None)
    if name is None:
        had = (
            f"it has {', '.join(map(str, row)) or 'no field'}"
            if isinstance(row, Mapping)
            else "it is no object"
        )
        raise ValueError(f'has no "conversations" and no "messages": {had}')
    said = row[name]
    if not isinstance(said, list):
        raise ValueError(f'{name} is no list: write [{{"from": "human", "value": "Hi"}}, ...]')
    turns, systems = [], []
    for place, each in enumerate(said):
        who, text = _spoken(f"{name}[{place}]", each)
        if who in _USER and text.strip():
            turns.append(text)
        elif who == "system" and text.strip():
            systems.append(text)
    if not turns:
        return None
    return Conversation(turns[:most_turns], "\n".join(systems) or None)


def _spoken(where: str, each: Any) -> tuple[str, str]:
    if not isinstance(each, Mapping):
        raise ValueError(f'{where} is no object: write {{"from": "human", "value": "Hi"}}')
    who = each.get("from", each.get("role"))
    if who not in _USER | _MODEL | {"system"}:
        raise ValueError(f"{where} is from {who!r}: known are human, user, gpt, assistant and system")
    text = each.get("value", each.get("content"))
    if not isinstance(text, str):
        raise ValueError(f'{where} has no text: write it under "value", or "content"')
    return who, text

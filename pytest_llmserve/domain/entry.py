"""What a load may be given to ask, beside a `Prompt`: conversations, and texts that begin alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llmserve.domain.exchange import Prompt


@dataclass(frozen=True)
class Conversation:
    """What one person says to the model, text after text, each sent with all that was said before it.

    The answers in between are those that the server gave.

    Attributes:
        turns: the user's texts, at least one.
        system: what the system message says, or None for none.

    Raises:
        ValueError: a turn is no text, or there is none.
    """

    turns: Sequence[str]
    system: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.turns, str) or not isinstance(self.turns, Sequence):
            raise ValueError(
                f'Conversation: turns is {self.turns!r}: give a list of texts, ["Hi", "And then?"]'
            )
        if not self.turns:
            raise ValueError('Conversation: turns is empty: give at least one text, ["Hi", "And then?"]')
        for place, text in enumerate(self.turns):
            if not isinstance(text, str):
                raise ValueError(
                    f"Conversation: turns[{place}] is {text!r}: give the text that the user says"
                )
        if not isinstance(self.system, str | None):
            raise ValueError(f"Conversation: system is {self.system!r}: give the text of the system message")

    def messages(self, turns: int = 1) -> list[dict[str, Any]]:
        """The system message, and so many of the user's texts."""
        system = [] if self.system is None else [message("system", self.system)]
        return [*system, *(message("user", text) for text in self.turns[:turns])]


class Prefixed(str):
    """A text that begins as others do. Its mark stands behind what they share.

    Attributes:
        mark_at: where the mark goes, in characters.
    """

    __slots__ = ("mark_at",)
    mark_at: int

    def __new__(cls, text: str, mark_at: int) -> Prefixed:
        """As of `str`."""
        made = super().__new__(cls, text)
        made.mark_at = mark_at
        return made

    def __getnewargs__(self) -> tuple[str, int]:  # type: ignore[override]
        return str(self), self.mark_at


Entry = Prompt | Conversation
"""One of the prompts of a load."""


def message(role: str, content: str) -> dict[str, Any]:
    """One chat message."""
    return {"role": role, "content": content}


def first_prompt(entry: Entry) -> Prompt:
    """What is sent first of it."""
    return entry.messages() if isinstance(entry, Conversation) else entry


def all_said(entry: Entry) -> Prompt:
    """All that the user says in it, without the answers."""
    return entry.messages(len(entry.turns)) if isinstance(entry, Conversation) else entry


def to_plain(entry: Entry) -> Any:
    """As JSON values: a text, a list of messages, or a dict for what is neither."""
    if isinstance(entry, Conversation):
        return {"turns": list(entry.turns), "system": entry.system}
    if isinstance(entry, Prefixed):
        return {"text": str(entry), "mark_at": entry.mark_at}
    return entry


def from_plain(value: Any) -> Entry:
    """The inverse of `to_plain`."""
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]
    if "turns" in value:
        return Conversation(value["turns"], value["system"])
    return Prefixed(value["text"], value["mark_at"])


def conversations_in(entries: Sequence[Entry]) -> Iterator[Conversation]:
    """Those of the entries that are conversations."""
    return (entry for entry in entries if isinstance(entry, Conversation))

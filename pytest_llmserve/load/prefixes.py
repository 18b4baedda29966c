"""Prompts with something before them: a system message, or a long text that many of them share."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.domain.entry import Conversation, Entry, Prefixed, message
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.load.filler import filler
from pytest_llmserve.load.prompt_list import PromptList, source_of
from pytest_llmserve.load.prompts import as_prompts

PREFIX_CHARS = 8000
"""About 2,000 tokens of English: many times the block by which servers cache."""
_BREAK = "\n\n"
_CHARS_A_WORD = 12
"""More than an English word and its blank have on average."""


def with_system(prompts: object, system: str) -> PromptList:
    """Each prompt with a system message before it; before the text of the one that it has.

    Args:
        prompts: as `llm_load` takes them, but by name of their task.
        system: the text.

    Raises:
        SetupError: the prompts or the text are none.
    """
    if not isinstance(system, str) or not system:
        raise SetupError(f"with_system: system is {system!r}: give the text of the system message")
    return PromptList(
        [_with_system(each, system) for each in _entries("with_system", prompts)], source_of(prompts)
    )


def shared_prefix(
    prompts: object = None,
    *,
    chars: int | None = None,
    words: int | None = None,
    groups: int = 1,
    seed: int = 0,
) -> PromptList:
    """Each prompt with the same long text before it, as many prompts share their instructions.

    The mark of a request comes behind it, so that a cache of prefixes finds it. Chat messages and
    conversations have it in their system message. It is made of plain English sentences, always the same of
    the same seed.

    Args:
        prompts: as `llm_load` takes them, but by name of their task.
        chars: its length; 8,000 by default.
        words: its length, in place of `chars`.
        groups: how many such texts there are; the prompts have them by turns, and come again where they
            are fewer.
        seed: of the texts.

    Raises:
        SetupError: an argument is wrong.
    """
    if chars is not None and words is not None:
        raise SetupError("shared_prefix: give chars= or words=, not both")
    for name, value in (("chars", chars), ("words", words), ("groups", groups)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise SetupError(f"shared_prefix: {name} is {value!r}: give a whole number from 1 on")
    entries = _entries("shared_prefix", prompts)
    texts = [_text(chars, words, seed * 1_000_003 + group) for group in range(groups)]
    found = [
        _behind(texts[place % groups], entries[place % len(entries)])
        for place in range(max(len(entries), groups))
    ]
    return PromptList(found, source_of(prompts))


def _entries(call: str, prompts: object) -> list[Entry]:
    try:
        return as_prompts(prompts)
    except ValueError as error:
        raise SetupError(f"{call}: {error}") from None


def _text(chars: int | None, words: int | None, seed: int) -> str:
    if words is None:
        return filler(chars or PREFIX_CHARS, seed)
    return " ".join(filler(words * _CHARS_A_WORD, seed).split()[:words])


def _behind(prefix: str, entry: Entry) -> Entry:
    if isinstance(entry, Prefixed):
        return Prefixed(f"{prefix}{_BREAK}{entry}", len(prefix) + len(_BREAK) + entry.mark_at)
    if isinstance(entry, str):
        return Prefixed(f"{prefix}{_BREAK}{entry}", len(prefix) + len(_BREAK))
    return _with_system(entry, prefix)


def _with_system(entry: Entry, system: str) -> Entry:
    if isinstance(entry, Conversation):
        return Conversation(
            entry.turns, system if entry.system is None else f"{system}{_BREAK}{entry.system}"
        )
    if isinstance(entry, Prefixed):  # what is shared goes before the mark there too
        shared, own = entry[: entry.mark_at].removesuffix(_BREAK), entry[entry.mark_at :]
        return [message("system", f"{system}{_BREAK}{shared}"), message("user", own)]
    if isinstance(entry, str):
        return [message("system", system), message("user", entry)]
    return _before(system, entry)


def _before(system: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    first = messages[0]
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        return [{**first, "content": f"{system}{_BREAK}{first['content']}"}, *messages[1:]]
    return [message("system", system), *messages]

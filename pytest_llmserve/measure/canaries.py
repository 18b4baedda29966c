"""Prompts whose right answer is their own mark: one that carries another's is proof of a mix-up."""

from __future__ import annotations

from pytest_llmserve.domain.exchange import Prompt

CANARY_TOKENS = 24
"""Room for a sentence with the mark in it: eight digits are up to eight tokens."""

_EXAMPLES = ("0f3c9a21", "b71e04d8", "5a92c6f0")

# What is asked, what is answered, and how often it is shown before. A model of 135 million parameters that
# is only told to repeat its code does so once in fifteen; shown it twice, nearly always. The last
# message of a chat is the one that a mark is put before, so no mark stands here.
_FORMS = (
    ("Copy the code.", "{}", 2),
    ("What is the code in the brackets?", "{}", 2),
    ("What is the code in the brackets?", "The code is {}.", 2),
    ("Repeat the number.", "[{}]", 2),
    ("Copy the code.", "{}", 3),
)


def canary_prompts() -> list[Prompt]:
    """Chats of a few turns; an API of plain text gets them as its dialect writes any chat, a line a turn."""
    return [_chat(*form) for form in _FORMS]


def _chat(asked: str, answered: str, times: int) -> Prompt:
    turns = []
    for example in _EXAMPLES[:times]:
        turns += [
            {"role": "user", "content": f"[{example}] {asked}"},
            {"role": "assistant", "content": answered.format(example)},
        ]
    return [*turns, {"role": "user", "content": asked}]

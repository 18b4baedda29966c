"""What the simulator says: the same to the same prompt, always. Pure."""

from __future__ import annotations

import random
import re

CHARACTERS_PER_TOKEN = 4
"""Of a prompt; an answer's tokens are counted as they are sent."""

MARK = re.compile(r"\[([0-9a-f]{8})\]")
"""Eight hex digits in brackets: what load generators put into a prompt to tell one request from another."""

_MARK_BEFORE = re.compile(MARK.pattern + r"\s*")
_TOKEN = re.compile(r"\s*\S{1,16}|\s+")
_FEELING = re.compile(r"\b(?:sentiment|positive or negative)\b", re.IGNORECASE)
_WORD = re.compile(r"[a-z']+")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GOOD = _words(
    "adored amazing awesome beautiful best brilliant charming delicious delight delightful enjoyed excellent"
    " fantastic fine friendly fun glad good great happy kind like liked love loved lovely nice perfect"
    " pleasant recommend superb sweet wonderful"
)
BAD = _words(
    "annoying awful bad boring broken cold cruel dirty disappointed disappointing disaster dislike dreadful"
    " dull fail failed hate hated horrible mess nasty never pain poor rude sad slow terrible tired ugly"
    " unhappy useless waste worst wrong"
)
NOT = _words("not no isn't wasn't don't didn't hardly")
WORDS = _words(
    "amber anchor apple autumn bakery basket bell birch bridge candle canyon castle cedar cloud copper coral"
    " cotton creek dawn desert dune ember falcon feather field forest fountain garden glacier granite harbor"
    " harvest hazel island ivory jasmine lagoon lantern lemon lily maple marble meadow mirror morning"
    " mountain ocean olive orchard pebble pepper pine prairie quartz rain river saddle sail silver spring"
    " stone summer thunder timber valley velvet violet willow window winter"
)


def answer(system: str, prompt: str, tokens: int, *, earlier: str = "") -> str:
    """What is answered, `tokens` tokens long at most.

    A prompt that asks for the sentiment gets "positive" or "negative". Any other gets a sentence of words
    drawn by the prompt's hash; the first of them by the system message, if there is one. Where a prompt
    carries a mark such as "[1a2b3c4d]", the answer begins with its first one; the sentence is the same.

    `system` is the text of the system message, or ""; `prompt` that of the last message, or the prompt;
    `earlier` that of the messages between.
    """
    if _FEELING.search(prompt) or _FEELING.search(system):
        return feeling(prompt)
    mark = MARK.search(prompt) or MARK.search(earlier) or MARK.search(system)
    drawn = random.Random(_MARK_BEFORE.sub("", "\0".join((earlier, prompt))).encode("utf-8", "surrogatepass"))
    words = [drawn.choice(WORDS) for _ in range(tokens)]
    if system and words:
        plain = _MARK_BEFORE.sub("", system).encode("utf-8", "surrogatepass")
        words[0] = random.Random(plain).choice(WORDS)
    if words:
        words[0] = words[0].capitalize()
    said = ([mark[0]] if mark else []) + words
    return " ".join(said[:tokens])


def feeling(text: str) -> str:
    """Tell "positive" from "negative" by simple words; neither as much as both is "positive"."""
    score, turned = 0, False
    for word in _WORD.findall(text.lower()):
        if word in NOT:
            turned = True
        elif word in GOOD or word in BAD:
            score += -1 if (word in BAD) != turned else 1
            turned = False
    return "negative" if score < 0 else "positive"


def split_tokens(text: str) -> list[str]:
    """The tokens of an answer: words of up to 16 characters with the space before them; joined, the text."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """Tokens of a prompt."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)

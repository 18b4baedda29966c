"""Prompts of a chosen length out of plain English words, no two alike. Pure."""

from __future__ import annotations

import random

_SENTENCES = (
    "The harbour was quiet before the market opened.",
    "A grey cat slept on the warm stones by the mill.",
    "She counted the boats as they came around the point.",
    "Nobody remembered who had built the old stone bridge.",
    "Rain fell on the orchard for most of the afternoon.",
    "The baker lit his oven long before the sun was up.",
    "Two children carried a basket of apples up the hill.",
    "He wrote the letter twice and sent neither of them.",
    "Behind the church a narrow path leads down to the river.",
    "In winter the ferry crosses only once a day.",
    "The clock in the hall has been slow for years.",
    "They talked about the weather until the train arrived.",
    "A lamp burned in the upper window of the lighthouse.",
    "The field beyond the wall was sown with barley.",
    "Every spring the storks return to the same roof.",
    "An open book lay on the table beside the bread.",
)


def filler(chars: int, seed: int, front: str = "") -> str:
    """A text of exactly so many characters that begins with `front`; another seed gives another one."""
    draw = random.Random(seed)
    parts, length = [front], len(front)
    while length < chars:
        sentence = draw.choice(_SENTENCES)
        parts.append(sentence if not parts[-1] else f" {sentence}")
        length += len(parts[-1])
    return "".join(parts)[:chars]

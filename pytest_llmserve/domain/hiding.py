"""What was said is taken out of what is told of it: servers repeat prompts in their errors."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, quote_plus

from pytest_llmserve.domain.printable import printable

PROMPT = "[prompt]"
ANSWER = "[answer]"

_LEAST_BYTES = 12
"""Of UTF-8: a word or two of English, four signs of Chinese. A shorter stretch is in any two texts."""
_MOST_BYTES_A_CHAR = 4
_LONGEST_IN_URL = 8_000


def without(text: str, said: Sequence[str], word: str) -> str:
    """The text with `word` in place of each stretch of 12 bytes or more that something said has too.

    Args:
        text: that is told, a line or a few.
        said: in the forms in which it may stand there, see `forms`.
        word: PROMPT or ANSWER.
    """
    if not _may_repeat(text, said):
        return text
    parts, at, kept_from = [], 0, 0
    while at < len(text):
        end = max((_end(text, at, one) for one in said), default=at)
        if end == at:
            at += 1
            continue
        found = text[at:end]
        parts += [text[kept_from:at], found.replace(found.strip(), word) if found.strip() else found]
        at = kept_from = end
    return "".join([*parts, text[kept_from:]])


def forms(said: Iterable[str]) -> list[str]:
    """Each text as it may stand in an error: as it is, on one line, or escaped for JSON, HTML or a URL."""
    found = dict.fromkeys(form for text in said for form in _forms(text))
    return [form for form in found if len(form.encode("utf-8", "surrogatepass")) >= _LEAST_BYTES]


def _forms(text: str) -> Iterator[str]:
    yield text
    yield printable(" ".join(text.split()))
    if text.isascii() and text.isalnum():
        return
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(text)[1:-1]
    yield repr(text)[1:-1]
    yield html.escape(text)
    if len(text) <= _LONGEST_IN_URL:
        yield quote(text, errors="replace")
        yield quote_plus(text, errors="replace")


def _may_repeat(text: str, said: Sequence[str]) -> bool:
    """False where no stretch is that long: each would hold one of these pieces, side by side in the text."""
    size = _LEAST_BYTES // 2 if text.isascii() else _LEAST_BYTES // _MOST_BYTES_A_CHAR // 2 or 1
    pieces = {text[at : at + size] for at in range(0, len(text) - size + 1, size)}
    return any(piece in one for one in said for piece in pieces)


def _end(text: str, at: int, said: str) -> int:
    """Where the longest stretch that begins here and that was said ends; `at` where it is too short."""
    end = _least_end(text, at)
    if end is None or text[at:end] not in said:
        return at
    while end < len(text) and text[at : end + 1] in said:
        end += 1
    return end


def _least_end(text: str, at: int) -> int | None:
    """Where the shortest stretch that counts ends; None where the text does first."""
    if text[at : at + _LEAST_BYTES].isascii():
        return at + _LEAST_BYTES if at + _LEAST_BYTES <= len(text) else None
    for end in range(at + _LEAST_BYTES // _MOST_BYTES_A_CHAR, min(at + _LEAST_BYTES, len(text)) + 1):
        if len(text[at:end].encode("utf-8", "surrogatepass")) >= _LEAST_BYTES:
            return end
    return None

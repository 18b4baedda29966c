"""One line for people out of whatever a server sends as an error."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import msgspec

from pytest_llmserve.dialects.piece import UNPARSABLE, keys_of
from pytest_llmserve.domain.printable import printable

LONGEST_CHARS = 200
LONGEST_PAGE_CHARS = 8_000
NO_REASON = "no reason given"

_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_NOT_TEXT = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_FIELDS = ("message", "error", "detail", "msg", "error_message", "title", "type")


def sentence_from_body(body: bytes) -> str:
    """The reason in the body of an error answer: JSON of the usual shapes, HTML, or plain text.

    Shapes: {"error": {"message"}} (OpenAI), {"error": "..."}, {"detail": "..." or [{"loc", "msg"}]}
    (FastAPI). At most 200 characters, on one line.
    """
    try:
        value = msgspec.json.decode(body)
    except UNPARSABLE:
        return one_line(_plain(body.decode("utf-8", "replace"))) or NO_REASON
    return sentence_from_json(value)


def sentence_from_json(value: Any) -> str:
    """The same out of JSON already parsed; what has no known field is shown as it is."""
    found = _dig(value, 0)
    if found is not None:
        return one_line(found)
    if not value:
        return NO_REASON
    try:
        return one_line(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return keys_of(value)


def one_line(text: str) -> str:
    """Join to one line and cut to 200 characters; what cannot be printed becomes U+FFFD.

    A terminal obeys control characters, and an error is text of the server's choosing.
    """
    line = printable(" ".join(text.split())[: LONGEST_CHARS + 1])
    return line if len(line) <= LONGEST_CHARS else line[: LONGEST_CHARS - 3] + "..."


def _dig(value: Any, depth: int) -> str | None:
    """The first sentence in the usual fields, a few levels deep."""
    if isinstance(value, str):
        return value if value.strip() else None
    if depth > 4:
        return None
    if isinstance(value, list):
        parts = [part for item in value[:3] if (part := _located(item, depth))]
        return "; ".join(parts) or None
    if isinstance(value, dict):
        for field in _FIELDS:
            found = _dig(value.get(field), depth + 1)
            if found is not None:
                return found
    return None


def _located(item: Any, depth: int) -> str | None:
    """One entry of FastAPI's validation errors: where it is, what is wrong."""
    found = _dig(item, depth + 1)
    place = item.get("loc") if isinstance(item, dict) else None
    if found is None or not isinstance(place, list):
        return found
    return ".".join(str(step) for step in place) + ": " + found


def _plain(text: str) -> str:
    text = text.lstrip()[:LONGEST_PAGE_CHARS]
    if text[:1] != "<":
        return text
    title = _TITLE.search(text)
    words = html.unescape(title[1]) if title else ""
    return words if words.strip() else html.unescape(_NOT_TEXT.sub(" ", text))

"""One line for people out of whatever a server sends as an error."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import msgspec

from pytest_llmserve.dialects.piece import UNPARSABLE, Piece, keys_of
from pytest_llmserve.domain.printable import printable

LONGEST_CHARS = 200
LONGEST_PAGE_CHARS = 8_000
NO_REASON = "no reason given"

_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_NOT_TEXT = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_FIELDS = ("message", "error", "detail", "msg", "error_message", "errors", "exception", "title", "type")
# What a server writes besides into an answer with status 200. Where all is well they are left out or empty.
_TOLD = ("error", "error_message", "exception")
# Beside an answer these may be remarks on it, such as what a checker of texts found.
_TOLD_ALONE = (*_TOLD, "errors", "detail")
_FLAGS: dict[str, tuple[Any, ...]] = {
    "success": (False,),
    "status": ("error", "failed", "failure"),
    "type": ("error",),
    "object": ("error",),  # FastChat and older vLLM
}
_NOTHING = ("", "none", "null")


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


def reported(value: Any, *, answered: bool = False, answer_path: str | None = None) -> str | None:
    """The error that JSON with status 200 reports, as servers do that have sent their header.

    Args:
        value: an event, a line or a body.
        answered: an answer stands in it too: then only what cannot be a remark on it is an error.
        answer_path: where the user says the answer lies: the field it begins with is no report.

    Returns:
        Its sentence; None = no error.
    """
    if not isinstance(value, dict):
        return None
    own = answer_path.partition(".")[0] if answer_path is not None else None
    for field in _TOLD if answered else _TOLD_ALONE:
        told = value.get(field)
        bare = isinstance(told, (bool, int, float))
        if field == own or _is_empty(told) or (answered and bare and told is not True):
            continue
        return sentence_from_json(value if bare else told)
    if any(field != own and value.get(field) in marks for field, marks in _FLAGS.items()):
        # "error" alone is no reason.
        return sentence_from_json(
            {key: held for key, held in value.items() if (key, held) != ("type", "error")}
        )
    return None


def piece_without(place: str, value: Any) -> Piece:
    """What JSON says in which nothing is that its API promises: an error, or no answer at that place.

    A message is an error there too.
    """
    error = reported(value)
    message = value.get("message") if isinstance(value, dict) else None
    if error is None and isinstance(message, str) and message.strip():
        error = sentence_from_json(message)
    if error is not None:
        return Piece(error=error)
    return Piece(missed=f"no answer at {place}: the server sent {keys_of(value)}")


def one_line(text: str) -> str:
    """Join to one line and cut to 200 characters; what cannot be printed becomes U+FFFD.

    A terminal obeys control characters, and an error is text of the server's choosing.
    """
    line = printable(" ".join(text.split())[: LONGEST_CHARS + 1])
    return line if len(line) <= LONGEST_CHARS else line[: LONGEST_CHARS - 3] + "..."


def _is_empty(value: Any, depth: int = 0) -> bool:
    """True for what says "no error": null, false, 0, "", "None", {}, and what holds nothing else."""
    if isinstance(value, str):
        return value.strip().lower() in _NOTHING
    held = list(value.values()) if isinstance(value, dict) else value
    if isinstance(held, list):
        return depth < 4 and all(_is_empty(each, depth + 1) for each in held)
    return not held


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

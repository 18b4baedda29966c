"""Whether an answer is a good one, or a clean refusal: what a server may do with any input. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from pytest_llmserve.checks.revealed import revealed
from pytest_llmserve.checks.spoken import beside_words
from pytest_llmserve.dialects.framing import declared, framing, is_json, sniff
from pytest_llmserve.domain.outcome import (
    CUT_OFF,
    OK,
    OUTCOMES,
    REFUSED,
    SERVER_ERROR_IN_STREAM,
    TIMED_OUT,
)
from pytest_llmserve.domain.survival import Answered
from pytest_llmserve.domain.wrong_length import WrongLength

NEVER_LOOKED_AT = frozenset({401, 403, 404, 405, 429})
"""Refusals for reasons that lie outside of the input's body."""
_NOT_IMPLEMENTED = 501
_SHOWN_CHARS = 60
_LOOKED_AT_BYTES = 65_536
_WRONG_REQUEST = (
    *("invalid", "bad_request", "badrequest", "bad request", "validation"),
    *("unprocessable", "context_length", "exceed_context"),
)


def answer_faults(answered: Answered, sent: bytes, clean: Callable[[str], str] = str) -> tuple[str, ...]:
    """What is wrong with an answer, a clause each; empty = it is whole and readable, or a clean refusal.

    Args:
        answered: the answer.
        sent: the body of the request; to a lie about its length every end but an error of the server's
            own is a clean one.
        clean: takes secrets out of a text that is shown, before it is cut.
    """
    form_fault = _own_error if isinstance(sent, WrongLength) else _form_fault
    faults = [] if (fault := form_fault(answered, clean)) is None else [fault]
    good = not faults and answered.outcome == OK
    shows = revealed(_own_words(answered), sent, clean, named=answered.named, good=good)
    return (*faults, *([] if shows is None else [f"its answer shows {shows}"]))


def _own_error(answered: Answered, clean: Callable[[str], str]) -> str | None:
    """What is wrong with the end of a request that cannot be read as HTTP.

    Mostly it is ended by what reads HTTP, which knows no JSON, or closes without a word. 501 is what a
    Transfer-Encoding that the server does not know is to be answered with (RFC 9112, 6.1).
    """
    broken = answered.status is not None and answered.status >= 500 and answered.status != _NOT_IMPLEMENTED
    if broken or answered.outcome in {REFUSED, SERVER_ERROR_IN_STREAM}:
        return _form_fault(answered, clean)
    return None


def _own_words(answered: Answered) -> bytes:
    """What of an answer no model has made up: of a 2xx all but the answer in it."""
    if answered.status is None or not 200 <= answered.status < 300:
        return answered.body
    kind = _kind(answered)
    parts = () if kind is None else _parts(answered.body, kind)
    return beside_words(parts, answered.text, answered.complete)


def _form_fault(answered: Answered, clean: Callable[[str], str]) -> str | None:
    status, outcome = answered.status, answered.outcome
    why = f" ({answered.error})" if answered.error else ""
    if status is None:
        return f"{OUTCOMES[outcome]}{why}"
    if status >= 500:
        return f"it answered {answered.error or status}"
    if outcome in {TIMED_OUT, CUT_OFF} or not answered.complete:
        return f"its answer {status} was not whole{why}"
    if status >= 400:
        return _refusal_fault(answered, clean)
    if not 200 <= status < 300:
        return f"it answered {status}, neither 2xx nor 4xx"
    if outcome == SERVER_ERROR_IN_STREAM:
        return None if refused_within(answered) else f"an error inside its {status} answer{why}"
    unread = _unreadable(answered, clean)
    if unread is None and answered.no_answer is not None:
        return f"it answered {status} with what is no answer ({answered.no_answer})"
    return unread


def _refusal_fault(answered: Answered, clean: Callable[[str], str]) -> str | None:
    """A clean refusal tells its reason as JSON, or a program could not read it."""
    if not answered.body.strip():
        return f"it refused with {answered.status} and no body, which is no JSON"
    if _is_json(answered.body):
        return None
    kind = answered.content_type.partition(";")[0].strip() or "no Content-Type"
    return f"it refused with {answered.status} in {kind}, which is no JSON: {_shown(answered.body, clean)}"


def _unreadable(answered: Answered, clean: Callable[[str], str]) -> str | None:
    """Why a 2xx answer cannot be read: each of its parts is JSON, or it does not claim to be."""
    status, body, kind = answered.status, answered.body, _kind(answered)
    if status == 204:
        return None
    if not body.strip():
        return f"it answered {status} without a body"
    if kind is None:
        return None if _is_text(body) else f"its answer {status} is not UTF-8: {_shown(body, clean)}"
    for part in _parts(body, kind):
        if part.strip() not in {b"", b"[DONE]"} and not _is_json(part):
            return f"its answer {status} holds no valid JSON: {_shown(part, clean)}"
    return None


def _kind(answered: Answered) -> str | None:
    """The form of a body; None = it is no JSON, and says so."""
    claims = is_json(answered.content_type) or not answered.content_type
    return declared(answered.content_type, True) or sniff(answered.body, claims) or None


def _parts(body: bytes, kind: str) -> Iterator[bytes]:
    splitter = framing(kind)
    for _, data in splitter.feed(body):
        yield data
    left = splitter.close()
    if left is not None:
        yield left[1]


def refused_within(answered: Answered) -> bool:
    """A refusal that came inside a 200 answer, before a piece of it, and says that the request was wrong.

    Some servers have sent the status before they look at the request. By its code or type alone it can
    be told from an error of the server's own.
    """
    if answered.tokens:
        return False
    errors = [error for value in _values(answered) if (error := _error_in(value)) is not None]
    return bool(errors) and all(_names_request(error) for error in errors)


def _values(answered: Answered) -> Iterator[Any]:
    kind = _kind(answered)
    for part in [] if kind is None else _parts(answered.body, kind):
        try:
            yield json.loads(part)
        except (ValueError, RecursionError):
            continue


def _error_in(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    error = value.get("error", value if value.get("object") == "error" else None)
    return error if isinstance(error, dict) else None if error is None else {}


def _names_request(error: dict[str, Any]) -> bool:
    told = [str(error.get(field, "")).lower() for field in ("code", "status", "status_code", "type")]
    codes = [int(word) for word in told if len(word) == 3 and word.isdecimal()]
    if codes:
        return all(400 <= code < 500 for code in codes)
    return any(needle in word for word in told for needle in _WRONG_REQUEST)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data, parse_constant=_refuse)
    except ValueError:
        return False
    except RecursionError:  # it repeats what was nested too deep for this reader
        return True
    return True


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _shown(data: bytes, clean: Callable[[str], str]) -> str:
    text = " ".join(clean(data[:_LOOKED_AT_BYTES].decode("utf-8", "replace")).split())
    return repr(text[:_SHOWN_CHARS]) + ("..." if len(text) > _SHOWN_CHARS else "")

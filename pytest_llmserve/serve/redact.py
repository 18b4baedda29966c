"""Keeps keys out of everything people read."""

from __future__ import annotations

import re

from pytest_llmserve.domain.target import Target

_SECRET_NAME = re.compile(r"auth|cookie|key|password|secret|session|token", re.IGNORECASE)
_LEAST_CHARS = 4


def secrets(target: Target) -> tuple[str, ...]:
    """The secret texts in the target's headers, longest first.

    A header is secret by its name (Authorization, X-Api-Key, Cookie ...). Its value is, and so is
    each word of it: a server that complains quotes the key without "Bearer". Under 4 characters
    a word is no secret: hiding every "a" would only spoil the text.
    """
    found = set()
    for name, value in target.headers:
        if _SECRET_NAME.search(name):
            scheme, _, rest = value.partition(" ")
            found.update({value, rest, *rest.split()} if rest else {scheme})
    return tuple(sorted((s for s in found if len(s) >= _LEAST_CHARS), key=len, reverse=True))


def redact(text: str, target: Target) -> str:
    """The text with every secret header value of the target replaced by "***"."""
    for secret in secrets(target):
        text = _without_cut_end(text.replace(secret, "***"), secret)
    return text


def _without_cut_end(text: str, secret: str) -> str:
    """The text without a secret's beginning at its end: errors are cut to one line."""
    bare = text.rstrip(".\u2026 ")
    for length in range(len(secret) - 1, _LEAST_CHARS, -1):
        if bare.endswith(secret[:length]):
            return bare[:-length] + "***" + text[len(bare) :]
    return text

"""Keeps keys out of everything people read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from pytest_llmserve.domain.printable import printable
from pytest_llmserve.domain.target import Target

Headers = tuple[tuple[str, str], ...]

HIDDEN = "***"
_SECRET_NAME = re.compile(r"auth|cookie|key|password|secret|session|token", re.IGNORECASE)
_PUBLIC = frozenset(
    {
        *("accept", "accept-charset", "accept-encoding", "accept-language", "anthropic-version"),
        *("cache-control", "connection", "content-encoding", "content-length", "content-type"),
        *("expect", "host", "pragma", "te", "transfer-encoding", "user-agent"),
    }
)
_LEAST_CHARS = 4
_CUT = re.compile(r"\.{3}|\u2026|\Z")


def is_secret(name: str, target: Target) -> bool:
    """True for a header that is secret by its name (Authorization, X-Api-Key, Cookie ...).

    So is each that the target was given beside it, but those that say nothing of who asks (Accept ...).
    """
    if _SECRET_NAME.search(name):
        return True
    given = {own.lower() for own, _ in target.headers}
    return name.lower() in given and name.lower() not in _PUBLIC


def secrets(target: Target, headers: Iterable[tuple[str, str]] = ()) -> tuple[str, ...]:
    """The secret texts in the target's headers and in further ones, longest first.

    The value of a secret header is one. Where its name says so, each of its words is too: a server that
    complains quotes the key without "Bearer". Under 4 characters a text is no secret: hiding every "a"
    would only spoil what is told.
    """
    return _secrets(target, tuple(headers))


@lru_cache(maxsize=64)
def _secrets(target: Target, headers: Headers) -> tuple[str, ...]:
    found = set()
    for name, value in (*target.headers, *headers):
        if not is_secret(name, target):
            continue
        found.add(value)
        scheme, _, rest = value.partition(" ")
        if _SECRET_NAME.search(name):
            found.update({rest, *rest.split()} if rest else {scheme})
    return tuple(sorted((s for s in found if len(s) >= _LEAST_CHARS), key=len, reverse=True))


def redact(text: str, target: Target, headers: Iterable[tuple[str, str]] = ()) -> str:
    """The text with every secret header value of the target, and of further headers, replaced by "***".

    Redact before a text is cut: what is left of a secret is found only where it ends in "..." or with the
    text, from 5 characters on.
    """
    for secret in secrets(target, headers):
        text = _without_cut_ends(text.replace(secret, HIDDEN), secret)
    return text


def told(text: str, target: Target, headers: Iterable[tuple[str, str]] = (), keep: str = "") -> str:
    """The text without secrets, and with U+FFFD for what cannot be printed and is not to be kept."""
    return printable(redact(text, target, headers), keep)


def _without_cut_ends(text: str, secret: str) -> str:
    """The text without a secret's beginning where it was cut: errors are cut to one line."""
    if secret[: _LEAST_CHARS + 1] not in text:
        return text
    parts, after = [], 0
    for cut in _CUT.finditer(text):
        part, mark = text[after : cut.start()], cut[0]
        bare = part.rstrip(". '\"")
        for length in range(len(secret) - 1, _LEAST_CHARS, -1):
            if bare.endswith(secret[:length]):
                part = bare[:-length] + HIDDEN + part[len(bare) :]
                break
        parts += [part, mark]
        after = cut.end()
    return "".join(parts)

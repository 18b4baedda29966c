"""A request as people can send it again. Pure."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable

from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.wrong_length import WrongLength
from pytest_llmserve.serve.exchange import merged_headers
from pytest_llmserve.serve.redact import HIDDEN, is_secret, redact

LONGEST_CHARS = 200
_LONGEST_SECRET = 16_384
_LEFT_OUT = frozenset({"host", "accept-encoding", "user-agent"})


def shown_request(target: Target, request: HttpRequest) -> str:
    """A curl command, or, of a body that curl would not send so, its beginning, length and hash.

    Secrets of the target, and of the request's own headers, are hidden.
    """
    text = _printable(request.body)

    def clean(shown: str) -> str:
        return redact(shown, target, request.headers)

    where = f"{request.method} {request.path}"
    if isinstance(request.body, WrongLength):
        told = ", ".join(f"{name}: {value!r}" for name, value in request.body.headers)
        lie = told or "no Content-Length"
        return clean(f"{where} with {lie} before {beginning(request.body, clean)}")
    if text is None or len(text) > LONGEST_CHARS:
        return clean(f"{where} {beginning(request.body, clean)}")
    headers = merged_headers(target, request, own_headers_win=True)
    words = ["curl", "--unix-socket", target.socket_path] if target.socket_path else ["curl"]
    words += [
        f"{target.origin}{request.sent_path}",
        *(["-X", request.method] if request.method != "POST" else []),
    ]
    for name, value in headers:
        if name.lower() not in _LEFT_OUT:
            words += ["-H", f"{name}: {HIDDEN if is_secret(name, target) else value}"]
    return shlex.join([clean(word) for word in (*words, "--data-binary", text)])


def beginning(body: bytes, clean: Callable[[str], str] = str) -> str:
    """The first 200 characters of a body, with its length and hash; `clean` takes secrets out."""
    # A secret may lie across the end of what is shown.
    text = clean(body[: 4 * LONGEST_CHARS + _LONGEST_SECRET].decode("utf-8", "backslashreplace"))
    shown = repr(text[:LONGEST_CHARS]) + ("..." if len(text) > LONGEST_CHARS else "")
    return f"{shown} ({len(body)} bytes, sha256 {hashlib.sha256(body).hexdigest()[:16]})"


def _printable(body: bytes) -> str | None:
    """The text, where a shell can be given it and a terminal shows it."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    # A body that begins like this is the name of a file to curl.
    return text if text.isprintable() and not text.startswith("@") else None

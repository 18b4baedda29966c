"""One request and its answer, as the dialects and the wire hand them to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.target import Target

Prompt = str | list[dict[str, Any]]
"""A text, or chat messages ``[{"role": "user", "content": "..."}]``."""

# How the transport of an answer ended. The dialect turns this, and the bytes, into an outcome.
COMPLETE = "complete"
CLOSED_EARLY = "closed_early"
CONNECTION_RESET = "connection_reset"
TIME_LIMIT = "time_limit"
NOT_HTTP = "not_http"


# Printable ASCII without space " # < > ` { }: RFC 3986 leaves those out, and "#" begins what is never sent.
_SENT_AS_THEY_ARE = "!$%&'()*+,/:;=?@[\\]^|"


class HttpRequest(msgspec.Struct, frozen=True):
    """What a dialect wants sent. Host, Content-Length and the target's headers are added by the wire.

    Attributes:
        path: as people write it, perhaps with a query; see `sent_path`.
    """

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def sent_path(self) -> str:
        """The path as every wire sends it: UTF-8, percent-encoded; what is encoded already stays.

        Raises:
            SetupError: it holds a control character, or half a surrogate pair.
        """
        if any(character < " " or character == "\x7f" for character in self.path):
            raise SetupError(f"path {self.path!r} is not allowed in a URL: it holds a control character")
        try:
            # Bytes of a shell that are no UTF-8 come as surrogates, and go as those bytes.
            return quote(self.path, safe=_SENT_AS_THEY_ARE, errors="surrogateescape") or "/"
        except UnicodeEncodeError as error:
            raise SetupError(f"path {self.path!a} is not allowed in a URL: {error.reason}") from None


class Ending(msgspec.Struct, frozen=True):
    """How the transport ended: one word of this module and a sentence for people."""

    how: str
    detail: str = ""


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """An answer understood.

    Attributes:
        outcome: one word of `domain.outcome`.
        token_ns: the stamp of every chunk with non-empty content, reasoning or tool-call text.
        output_tokens: from the server's usage field, else the number of token chunks, else None.
        tokens_from: "usage", "estimated" or None.
        says_nothing: malformed for that alone: it has the form of an answer, and no text in it.
    """

    outcome: str
    error: str | None = None
    text: str = ""
    token_ns: tuple[int, ...] = ()
    output_tokens: int | None = None
    tokens_from: str | None = None
    finish_reason: str | None = None
    says_nothing: bool = False


class Decoder(Protocol):
    """Takes the body of one answer in pieces, cut anywhere."""

    def feed(self, stamp_ns: int, data: bytes) -> str:
        """Take bytes that arrived at `stamp_ns`; return the answer text they completed."""

    def feed_many(self, stamps_ns: Sequence[int], pieces: Sequence[bytes]) -> None:
        """Take many pieces at once, cheaper than one by one and with the same result."""

    def finish(self, ending: Ending) -> Decoded:
        """Say what the answer was. Called once, after the last `feed`."""


class Dialect(Protocol):
    """How one API speaks. No socket, no clock.

    Attributes:
        limit_names: fields of a request that limit the length of an answer, the likeliest first; a dot
            stands for a level, such as "options.num_predict". Empty where the API has none.
        asks_usage: a stream tells token counts when asked to by `Target.stream_usage`.
        two_steps: an answer may only say where the real one is to be fetched, see `next_request`.
    """

    name: str
    limit_names: tuple[str, ...]
    asks_usage: bool
    two_steps: bool

    def encode(self, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """Turn a prompt into a request; `params` go into the body as they are."""

    def decoder(self, target: Target, status: int, headers: Sequence[tuple[str, str]]) -> Decoder:
        """Return a decoder for an answer with this status and these headers (names in lower case)."""

    def next_request(self, target: Target, path: str, status: int, body: bytes) -> HttpRequest | None:
        """The request that fetches the answer which this one ordered; None = this is the answer itself.

        Args:
            target: of the first request.
            path: of the first request.
            status: of what came back.
            body: of it, whole.
        """


class OneStep:
    """A dialect that is answered at once. To inherit from."""

    two_steps = False

    def next_request(self, target: Target, path: str, status: int, body: bytes) -> HttpRequest | None:  # noqa: ARG002
        """None: what came is the answer."""
        return None


def prompt_chars(prompt: Prompt) -> int:
    """Length of the text sent, in characters."""
    if isinstance(prompt, str):
        return len(prompt)
    return sum(_content_chars(message.get("content")) for message in prompt)


def _content_chars(content: object) -> int:
    if isinstance(content, list):
        return sum(_content_chars(part.get("text")) for part in content if isinstance(part, dict))
    return len(content) if isinstance(content, str) else 0

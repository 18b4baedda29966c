"""`tgi`: text-generation-inference's own API, POST /generate and /generate_stream.

Source: https://huggingface.github.io/text-generation-inference/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_llmserve.dialects.encoding import event_headers, json_body, merged, path_to, prompt_text
from pytest_llmserve.dialects.errors import piece_without, sentence_from_json
from pytest_llmserve.dialects.piece import UNPARSABLE, Piece, parse_json, read_lines, unread
from pytest_llmserve.dialects.plain import Read
from pytest_llmserve.domain.exchange import HttpRequest, Prompt
from pytest_llmserve.domain.target import Target

WHOLE = "/generate"
STREAM = "/generate_stream"


class Token(msgspec.Struct, gc=False):
    """The token of an event; a special one, such as the end of the sequence, is no text."""

    text: str | None = None
    special: bool | None = False


class Details(msgspec.Struct, gc=False):
    """What the last event or the body tells of the whole answer."""

    finish_reason: str | None = None
    generated_tokens: int | None = None


class Answer(msgspec.Struct, gc=False):
    """An event's data or a whole body: the fields that are looked at."""

    token: Token | None = None
    generated_text: str | None = None
    details: Details | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(Answer)
_decode, _decode_lines = _decoder.decode, _decoder.decode_lines
_decode_body = msgspec.json.Decoder(Answer | list[Answer]).decode
_NO_DETAILS = Details()


class Tgi(Read):
    """The API of text-generation-inference and of servers that copy it; it has no chat template."""

    name = "tgi"
    limit_names: tuple[str, ...] = ("parameters.max_new_tokens",)
    asks_usage = False

    def encode(self, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """Turn a prompt into a request; the contents of messages are joined, a line each.

        `params` go into the body as they are, but `parameters` beside ours: `details`, without
        which the server tells no counts of tokens.

        Raises:
            SetupError: a parameter is no JSON value.
        """
        body = {"inputs": prompt_text(prompt), "parameters": {"details": True}}
        endpoint = STREAM if target.stream else WHOLE
        path = path_to(target.path, endpoint, (WHOLE, STREAM))
        return HttpRequest("POST", path, json_body(merged(body, params)), event_headers(target.stream))

    def reader(self) -> TgiReader:
        """Of one answer."""
        return TgiReader()


class TgiReader:
    """Reads events of one token each, and bodies."""

    takes_lines = False
    needs_end_mark = True

    def event(self, data: bytes) -> Piece:
        """Read one event. Raises Unreadable."""
        try:
            answer = _decode(data)
        except UNPARSABLE as error:
            raise unread(data, error) from None
        if answer.error:
            return Piece(error=sentence_from_json(answer.error))
        ended = answer.generated_text is not None
        if answer.token is None and not ended:
            return piece_without("token.text", parse_json(data))
        token = answer.token or Token()
        text = "" if token.special else token.text or ""
        details = answer.details or _NO_DETAILS
        return Piece(text, bool(text), details.finish_reason, ended, details.generated_tokens)

    def events(self, lines: bytes) -> list[str | Piece] | None:
        """Read many events at once, their data a line each."""
        return read_lines(lines, _decode_lines, _token_text, self.event)

    def body(self, data: bytes) -> Piece:
        """Read a whole answer, which may stand in a list of one. Raises Unreadable."""
        try:
            answer = _decode_body(data)
        except UNPARSABLE as error:
            raise unread(data, error) from None
        if isinstance(answer, list):
            answer = answer[0] if answer else Answer()
        if answer.error:
            return Piece(error=sentence_from_json(answer.error))
        text, details = answer.generated_text, answer.details or _NO_DETAILS
        if text is None:
            return piece_without("generated_text", parse_json(data))
        return Piece(text, bool(text), details.finish_reason, True, details.generated_tokens)


def _token_text(answer: Answer) -> str | None:
    """The text of an event that holds nothing but a token; None for any other."""
    if answer.generated_text is not None or answer.details is not None or answer.error is not None:
        return None
    return None if answer.token is None or answer.token.special else answer.token.text

"""What Ollama's two APIs share: the request's fields, and answers as lines of JSON.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_llmserve.dialects.encoding import json_body, json_headers, path_to
from pytest_llmserve.dialects.errors import piece_without, sentence_from_json
from pytest_llmserve.dialects.piece import UNPARSABLE, Piece, parse_json, read_lines, unread
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.target import Target

GENERATE = "/api/generate"
CHAT = "/api/chat"
LIMIT_NAMES = ("options.num_predict",)


class Message(msgspec.Struct, gc=False):
    """A message, or what a line adds to it; a tool call comes whole."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Any] | None = None


class Answer(msgspec.Struct, gc=False):
    """A line or a whole body: the fields that are looked at."""

    response: str | None = None
    thinking: str | None = None
    message: Message | None = None
    done: bool | None = None
    done_reason: str | None = None
    eval_count: int | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(Answer)
_decode, _decode_lines = _decoder.decode, _decoder.decode_lines


def ollama_request(
    target: Target, endpoint: str, fields: Mapping[str, Any], params: Mapping[str, Any]
) -> HttpRequest:
    """A request; `params` win.

    Raises:
        SetupError: no model is known, or a parameter is no JSON value.
    """
    if target.model is None:
        raise SetupError(
            "Ollama wants the name of a model in each request, and none is known: give --llm-model NAME,"
            " one of those that `ollama list` tells"
        )
    # Left out, "stream" is true: an answer in one piece has to be asked for.
    body = {"model": target.model, **fields, "stream": target.stream, **params}
    accept = "application/x-ndjson, application/json" if target.stream else "application/json"
    path = path_to(target.path, endpoint, (GENERATE, CHAT))
    return HttpRequest("POST", path, json_body(body), json_headers(accept))


class LinesReader:
    """Reads the lines and bodies of both: each has its text at a place of its own."""

    takes_lines = True
    needs_end_mark = True

    def event(self, data: bytes) -> Piece:
        """Read one line. Raises Unreadable."""
        try:
            answer = _decode(data)
        except UNPARSABLE as error:
            raise unread(data, error) from None
        if answer.error is not None and (answer.error or not answer.done):
            return Piece(error=sentence_from_json(answer.error))
        if answer.response is None and answer.message is None and answer.done is None:
            return piece_without("response or message", parse_json(data))
        message = answer.message or Message()
        text = answer.response or message.content or ""
        return Piece(
            text=text,
            token=bool(text or answer.thinking or message.thinking or message.tool_calls),
            finish_reason=answer.done_reason if answer.done else None,
            ended=answer.done is True,
            output_tokens=answer.eval_count,
        )

    def events(self, lines: bytes) -> list[str | Piece] | None:
        """Read many lines at once."""
        return read_lines(lines, _decode_lines, _token_text, self.event)

    def body(self, data: bytes) -> Piece:
        """Read a whole answer: the same object as a line. Raises Unreadable."""
        return self.event(data)


def _token_text(answer: Answer) -> str | None:
    """The text of a line that holds nothing but a token; None for any other."""
    if answer.done or answer.error is not None or answer.eval_count is not None:
        return None
    return answer.response if answer.message is None else answer.response or answer.message.content

"""`openai-completions`: POST /v1/completions, streamed or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_llmserve.dialects.encoding import prompt_text
from pytest_llmserve.dialects.errors import sentence_from_json
from pytest_llmserve.dialects.openai import (
    COMPLETIONS,
    Usage,
    event_without_choices,
    openai_request,
    without_choices,
)
from pytest_llmserve.dialects.piece import UNPARSABLE, Piece, read_lines, unread
from pytest_llmserve.dialects.plain import Read
from pytest_llmserve.domain.exchange import HttpRequest, Prompt
from pytest_llmserve.domain.target import Target


class Choice(msgspec.Struct, gc=False):
    """One of the answers, or what an event adds to it."""

    index: int | None = 0
    text: str | None = None
    finish_reason: str | None = None


class Answer(msgspec.Struct, gc=False):
    """An event's data or a whole body: the fields that are looked at."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(Answer)
_decode, _decode_lines = _decoder.decode, _decoder.decode_lines


class OpenAICompletions(Read):
    """The older text API, still spoken by nearly every engine."""

    name = "openai-completions"
    limit_names: tuple[str, ...] = ("max_tokens",)
    asks_usage = True

    def encode(self, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """Turn a prompt into a request; the contents of messages are joined, a line each.

        Raises:
            SetupError: a parameter is no JSON value.
        """
        return openai_request(target, COMPLETIONS, {"prompt": prompt_text(prompt)}, params)

    def reader(self) -> CompletionsReader:
        """Of one answer."""
        return CompletionsReader()


class CompletionsReader:
    """Reads completion events and bodies, which have one shape."""

    takes_lines = False
    needs_end_mark = True

    def event(self, data: bytes) -> Piece:
        """Read one event. Raises Unreadable."""
        answer = _answer(data)
        if not answer.choices and answer.error is None:
            return event_without_choices(data, answer.usage)
        return _piece(answer)

    def events(self, lines: bytes) -> list[str | Piece] | None:
        """Read many events at once, their data a line each."""
        return read_lines(lines, _decode_lines, _token_text, self.event)

    def body(self, data: bytes) -> Piece:
        """Read a whole answer. Raises Unreadable."""
        answer = _answer(data)
        if not answer.choices and answer.error is None:
            return without_choices(data)
        return _piece(answer)


def _answer(data: bytes) -> Answer:
    try:
        return _decode(data)
    except UNPARSABLE as error:
        raise unread(data, error) from None


def _token_text(answer: Answer) -> str | None:
    """The text of an event that holds nothing but a token of the only answer; None for any other."""
    choices = answer.choices
    if choices is None or len(choices) != 1 or answer.usage is not None or answer.error is not None:
        return None
    choice = choices[0]
    return None if choice.finish_reason is not None or choice.index else choice.text


def _piece(answer: Answer) -> Piece:
    """Tokens of any choice count; the text is that of the first (several only with n > 1)."""
    usage = answer.usage.completion_tokens if answer.usage is not None else None
    if answer.error is not None and (answer.error or not answer.choices):
        return Piece(error=sentence_from_json(answer.error), output_tokens=usage)
    text, token, finish = "", False, None
    for choice in answer.choices or ():
        if choice.text:
            token = True
            if not choice.index:
                text += choice.text
        finish = finish or choice.finish_reason
    return Piece(text, token, finish, False, usage)

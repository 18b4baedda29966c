"""`openai-chat`: POST /v1/chat/completions, streamed or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_llmserve.dialects.encoding import content_text, messages
from pytest_llmserve.dialects.errors import sentence_from_json
from pytest_llmserve.dialects.openai import (
    CHAT,
    Usage,
    event_without_choices,
    openai_request,
    without_choices,
)
from pytest_llmserve.dialects.piece import UNPARSABLE, Piece, parse_json, read_lines, unread
from pytest_llmserve.dialects.plain import Read
from pytest_llmserve.domain.exchange import HttpRequest, Prompt
from pytest_llmserve.domain.target import Target


class Function(msgspec.Struct, gc=False):
    """The function of a tool call; both fields come in parts."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct, gc=False):
    """A tool call, or a part of it."""

    function: Function | None = None


class Message(msgspec.Struct, gc=False):
    """A message, or what an event adds to it."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None

    def speaks(self) -> bool:
        """True when it carries anything a model generates."""
        if self.content or self.reasoning_content or self.reasoning or self.refusal:
            return True
        called = [call.function for call in self.tool_calls or () if call.function is not None]
        if self.function_call is not None:
            called.append(self.function_call)
        return any(function.name or function.arguments for function in called)


class Choice(msgspec.Struct, gc=False):
    """One of the answers: `delta` in an event, `message` in a body."""

    index: int | None = 0
    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None


class Answer(msgspec.Struct, gc=False):
    """An event's data or a whole body: the fields that are looked at."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(Answer)
_decode, _decode_lines = _decoder.decode, _decoder.decode_lines


class OpenAIChat(Read):
    """The chat API of OpenAI, vLLM, llama.cpp, SGLang, transformers and others."""

    name = "openai-chat"
    limit_names: tuple[str, ...] = ("max_tokens", "max_completion_tokens")
    asks_usage = True

    def encode(self, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """Turn a prompt into a request; `params` go into the body as they are.

        Raises:
            SetupError: a parameter is no JSON value.
        """
        return openai_request(target, CHAT, {"messages": messages(prompt)}, params)

    def reader(self) -> ChatReader:
        """Of one answer."""
        return ChatReader()


class ChatReader:
    """Reads chat events and bodies."""

    takes_lines = False
    needs_end_mark = True

    def event(self, data: bytes) -> Piece:
        """Read one event. Raises Unreadable."""
        answer = _answer(data)
        usage = answer.usage.completion_tokens if answer.usage is not None else None
        if answer.error is not None and (answer.error or not answer.choices):
            return Piece(error=sentence_from_json(answer.error), output_tokens=usage)
        if not answer.choices:
            return event_without_choices(data, answer.usage)
        return _merged(answer.choices, [choice.delta for choice in answer.choices], usage)

    def events(self, lines: bytes) -> list[str | Piece] | None:
        """Read many events at once, their data a line each."""
        return read_lines(lines, _decode_lines, _token_text, self.event)

    def body(self, data: bytes) -> Piece:
        """Read a whole answer. Raises Unreadable."""
        answer = _answer(data)
        if answer.error is not None and (answer.error or not answer.choices):
            return Piece(error=sentence_from_json(answer.error))
        if not answer.choices:
            return without_choices(data)
        usage = answer.usage.completion_tokens if answer.usage is not None else None
        return _merged(answer.choices, [choice.message for choice in answer.choices], usage)


def _token_text(answer: Answer) -> str | None:
    """The text of an event that holds nothing but a token of the only answer; None for any other."""
    choices = answer.choices
    if choices is None or len(choices) != 1 or answer.usage is not None or answer.error is not None:
        return None
    choice = choices[0]
    delta = choice.delta
    return None if delta is None or choice.finish_reason is not None or choice.index else delta.content


def _merged(choices: list[Choice], said: list[Message | None], usage: int | None) -> Piece:
    """Tokens of any choice count; the text is that of the first (several only with n > 1)."""
    text, token, finish = "", False, None
    for choice, message in zip(choices, said, strict=True):
        if message is not None:
            token = token or message.speaks()
            if message.content and not choice.index:
                text += message.content
        finish = finish or choice.finish_reason
    return Piece(text, token, finish, False, usage)


def _answer(data: bytes) -> Answer:
    try:
        return _decode(data)
    except msgspec.ValidationError as error:
        return _with_parts(data, error)
    except UNPARSABLE as error:
        raise unread(data, error) from None


def _with_parts(data: bytes, error: msgspec.ValidationError) -> Answer:
    """Second try: some servers send content as a list of parts."""
    value = parse_json(data)  # the typed decoder may have given up before the end of the bytes
    choices = value.get("choices") if isinstance(value, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        for field in ("delta", "message"):
            message = choice.get(field) if isinstance(choice, dict) else None
            if isinstance(message, dict) and isinstance(message.get("content"), list):
                message["content"] = content_text(message["content"])
    try:
        return msgspec.convert(value, Answer)
    except UNPARSABLE:
        raise unread(data, error) from None

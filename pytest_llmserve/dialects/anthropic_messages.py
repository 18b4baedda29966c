"""`anthropic-messages`: POST /v1/messages, streamed or not.

Sources: "Messages" and "Streaming messages" of Anthropic's API documentation,
https://docs.claude.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_llmserve.dialects.encoding import content_text, event_headers, json_body, messages
from pytest_llmserve.dialects.errors import piece_without, sentence_from_json
from pytest_llmserve.dialects.openai import endpoint_path
from pytest_llmserve.dialects.piece import Piece, parse_json
from pytest_llmserve.dialects.plain import Read
from pytest_llmserve.dialects.typed_events import TypedEvent, TypedReader
from pytest_llmserve.domain.exchange import HttpRequest, Prompt
from pytest_llmserve.domain.target import Target

MESSAGES = "/messages"
VERSION = "2023-06-01"
MOST_TOKENS = 1024
"""Asked for when the user names no limit: the API demands one."""

_SYSTEM = ("system", "developer")
_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use", "redacted_thinking")


class Usage(msgspec.Struct, gc=False):
    """The server's count of tokens."""

    output_tokens: int | None = None


class Part(msgspec.Struct, gc=False):
    """A block of an answer's content, or what an event adds to one, or to the answer."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None

    def speaks(self) -> bool:
        """True when it carries anything a model generates."""
        return bool(self.text or self.thinking or self.partial_json) or self.type in _CALLS


class Event(TypedEvent, gc=False):
    """An event's data: the fields that are looked at."""

    delta: Part | None = None
    content_block: Part | None = None
    usage: Usage | None = None
    error: Any = None


class Message(msgspec.Struct, gc=False):
    """A whole answer: the fields that are looked at."""

    content: list[Part] | None = None
    stop_reason: str | None = None
    usage: Usage | None = None
    error: Any = None


_events = msgspec.json.Decoder(Event)
_messages = msgspec.json.Decoder(Message)


class AnthropicMessages(Read):
    """The API of Anthropic, also of vLLM, llama.cpp and others."""

    name = "anthropic-messages"
    limit_names: tuple[str, ...] = ("max_tokens",)
    asks_usage = False

    def encode(self, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """Turn a prompt into a request; `params` go into the body as they are.

        System messages are joined in the field `system`, a line each: the API has no such role.

        Raises:
            SetupError: a parameter is no JSON value.
        """
        said = messages(prompt)
        system = [content_text(each.get("content")) for each in said if each.get("role") in _SYSTEM]
        body: dict[str, Any] = {} if target.model is None else {"model": target.model}
        body["max_tokens"] = MOST_TOKENS
        if system:
            body["system"] = "\n".join(system)
        body["messages"] = [each for each in said if each.get("role") not in _SYSTEM]
        if target.stream:
            body["stream"] = True
        body.update(params)
        headers = (*event_headers(target.stream), ("anthropic-version", VERSION), *_key(target))
        path = target.path if target.path.endswith(MESSAGES) else endpoint_path(target.path, MESSAGES)
        return HttpRequest("POST", path, json_body(body), headers)

    def reader(self) -> MessagesReader:
        """Of one answer."""
        return MessagesReader(_events, _messages)


class MessagesReader(TypedReader[Event, Message]):
    """Reads the events and bodies of messages."""

    def said(self, event: Event) -> str | Piece:
        """What an event says: text, another token (thinking, a tool call), the end, or an error."""
        part = event.delta or event.content_block
        if part is not None and part.text and event.usage is None and not event.error:
            return part.text
        if event.type == "error" or event.error:
            return Piece(error=sentence_from_json(event.error))
        piece = Piece(ended=event.type == "message_stop")
        if part is not None:
            piece.text, piece.token, piece.finish_reason = part.text or "", part.speaks(), part.stop_reason
        # message_start tells a count too, of what it has not yet said; this one counts all so far.
        if event.usage is not None:
            piece.output_tokens = event.usage.output_tokens
        return piece

    def told(self, body: Message, data: bytes) -> Piece:
        """What a whole answer says."""
        if body.error:
            return Piece(error=sentence_from_json(body.error))
        if body.content is None:
            return piece_without("content", parse_json(data))
        return Piece(
            text="".join([part.text for part in body.content if part.text]),
            token=any(part.speaks() for part in body.content),
            finish_reason=body.stop_reason,
            output_tokens=body.usage.output_tokens if body.usage is not None else None,
        )


def _key(target: Target) -> tuple[tuple[str, str], ...]:
    """The key under the name this API has for it; one the user gave under that name goes before it."""
    for name, value in target.headers:
        scheme, _, key = value.partition(" ")
        if name.lower() == "authorization" and scheme.lower() == "bearer" and key:
            return (("x-api-key", key.strip()),)
    return ()

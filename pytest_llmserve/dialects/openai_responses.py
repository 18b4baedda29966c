"""`openai-responses`: POST /v1/responses, streamed or not.

Sources: "Responses" and "Streaming events" of OpenAI's API reference,
https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_llmserve.dialects.encoding import content_text
from pytest_llmserve.dialects.errors import piece_without, sentence_from_json
from pytest_llmserve.dialects.openai import RESPONSES, openai_request
from pytest_llmserve.dialects.piece import Piece, parse_json
from pytest_llmserve.dialects.plain import Read
from pytest_llmserve.dialects.typed_events import TypedEvent, TypedReader
from pytest_llmserve.domain.exchange import HttpRequest, Prompt
from pytest_llmserve.domain.target import Target

_TEXT = "response.output_text.delta"
_ENDS = {f"response.{status}": status for status in ("completed", "incomplete", "failed", "cancelled")}
_NOT_OVER = ("queued", "in_progress")


class Usage(msgspec.Struct, gc=False):
    """The server's count of tokens."""

    output_tokens: int | None = None


class Details(msgspec.Struct, gc=False):
    """Why an answer is incomplete."""

    reason: str | None = None


class Response(msgspec.Struct, gc=False):
    """A whole answer: the fields that are looked at."""

    status: str | None = None
    output: list[Any] | None = None
    usage: Usage | None = None
    incomplete_details: Details | None = None
    error: Any = None


class Event(TypedEvent, gc=False):
    """An event's data: the fields that are looked at."""

    delta: Any = None
    response: Response | None = None
    error: Any = None
    message: Any = None
    code: Any = None


_events = msgspec.json.Decoder(Event)
_responses = msgspec.json.Decoder(Response)


class OpenAIResponses(Read):
    """The newer API of OpenAI, also of vLLM, llama.cpp, Ollama and others."""

    name = "openai-responses"
    limit_names: tuple[str, ...] = ("max_output_tokens",)
    asks_usage = False

    def encode(self, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """Turn a prompt into a request; `params` go into the body as they are.

        A text is sent as it is. Of messages each is an item of the input, system messages where
        they stand; parts of a chat message's content get the names that this API has for them.

        Raises:
            SetupError: a parameter is no JSON value.
        """
        asked = prompt if isinstance(prompt, str) else [_item(*numbered) for numbered in enumerate(prompt)]
        return openai_request(target, RESPONSES, {"input": asked}, params)

    def reader(self) -> ResponsesReader:
        """Of one answer."""
        return ResponsesReader(_events, _responses)


class ResponsesReader(TypedReader[Event, Response]):
    """Reads the events and bodies of responses."""

    def said(self, event: Event) -> str | Piece:
        """What an event says: text, another token (reasoning, a tool call), the end, or an error."""
        if event.type == _TEXT and event.delta and isinstance(event.delta, str):
            return event.delta
        if event.type == "error" or event.error:
            return Piece(error=sentence_from_json(event.error or {"message": event.message or event.code}))
        if event.type.endswith(".delta"):
            return Piece(token=bool(event.delta))
        if event.type not in _ENDS:
            return Piece()
        piece = _piece(event.response or Response(), _ENDS[event.type])
        if self.spoke:
            piece.text, piece.token = "", False  # the end repeats what the events said
        return piece

    def told(self, body: Response, data: bytes) -> Piece:
        """What a whole answer says."""
        if body.status in _NOT_OVER:
            return Piece(
                missed=f"the response is {body.status}: ask without background, its answer comes later"
            )
        if body.output is None and not body.error:
            return piece_without("output", parse_json(data))
        return _piece(body, body.status)


def _piece(response: Response, status: str | None) -> Piece:
    """The whole of an answer that is over, with this status."""
    text, token = "", False
    for item in response.output or ():
        if isinstance(item, dict):
            text += _text(item)
            token = token or _speaks(item)
    error = response.error or None
    if error is None and status in ("failed", "cancelled"):
        error = f"the server gave status {status!r} and no reason"
    details = response.incomplete_details
    return Piece(
        text=text,
        token=token or bool(text),
        finish_reason=details.reason if details is not None and details.reason else status,
        output_tokens=response.usage.output_tokens if response.usage is not None else None,
        error=None if error is None else sentence_from_json(error),
    )


def _text(item: dict[str, Any]) -> str:
    """The text of a message; other items of the output have none that is for the user."""
    if item.get("type", "message") != "message":
        return ""
    texts = [part["text"] for part in _parts(item) if isinstance(part.get("text"), str)]
    return "".join(texts)


def _speaks(item: dict[str, Any]) -> bool:
    """True for what a model generates besides text: reasoning, a refusal, a call of a tool."""
    if item.get("type", "message") != "message":
        return True
    return any(part.get("refusal") for part in _parts(item))


def _parts(item: dict[str, Any]) -> list[dict[str, Any]]:
    content = item.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _item(place: int, message: dict[str, Any]) -> dict[str, Any]:
    """A chat message as an item of the input."""
    content = message.get("content")
    if message.get("role") == "assistant" and content is not None:
        # In full, as the server once sent it: llama.cpp knows no shorter form, nor did vLLM for long.
        text = {"type": "output_text", "text": content_text(content), "annotations": []}
        item = {"type": "message", "id": f"msg_{place}", "status": "completed", "role": "assistant"}
        return {**item, "content": [text]}
    if not isinstance(content, list):
        return message
    return {**message, "content": [_part(part) for part in content]}


def _part(part: Any) -> Any:
    """A part of a chat message's content, in this API's words; what has none stays as it is."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        return {**part, "type": "input_text"}
    if kind == "image_url" and isinstance(part.get("image_url"), dict):
        url = part["image_url"]
        return {"type": "input_image", "image_url": url.get("url"), "detail": url.get("detail", "auto")}
    return part

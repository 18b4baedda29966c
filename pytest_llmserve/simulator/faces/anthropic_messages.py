"""`POST /v1/messages`. Source: Anthropic's API documentation, "Messages" and "Streaming messages"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.faces.face import Answer
from pytest_llmserve.simulator.faces.openai_responses import named
from pytest_llmserve.simulator.faults.fault import Part
from pytest_llmserve.simulator.fields import (
    LIST,
    OBJECT,
    TEXT,
    TRUTH,
    Check,
    Number,
    Refused,
    Texts,
    check_fields,
    kind,
    schema_of,
    shown,
    stop_texts,
)
from pytest_llmserve.simulator.question import Question, conversation
from pytest_llmserve.simulator.speech import count_tokens

ROLES = frozenset({"user", "assistant"})

FIELDS: dict[str, Check] = {
    "model": TEXT,
    "max_tokens": Number(1, 2**31 - 1, whole=True),
    "temperature": Number(0, 1),
    "top_p": Number(0, 1),
    "top_k": Number(0, 2**31 - 1, whole=True),
    "stop_sequences": LIST,
    "stream": TRUTH,
    "metadata": OBJECT,
    "thinking": OBJECT,
    "tools": LIST,
}

_KINDS = {404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"}
_MESSAGE = {
    "type": "object",
    "properties": {"role": {"enum": sorted(ROLES)}, "content": {"type": "string"}},
    "required": ["role", "content"],
}


class AnthropicMessages:
    """Chat, streamed as server-sent events of a few types."""

    name = "anthropic-messages"
    path = "/v1/messages"
    stream_type = "text/event-stream"

    @property
    def schema(self) -> dict[str, Any]:
        """Of the body."""
        found = schema_of(FIELDS, ("model", "max_tokens", "messages"))
        found["properties"]["messages"] = {"type": "array", "items": _MESSAGE, "minItems": 1}
        found["properties"]["system"] = {"type": "string"}
        return found

    def read(self, body: dict[str, Any], model: str) -> Question:
        """Read a request's body. Raises Refused."""
        check_fields(body, FIELDS)
        for name in ("model", "max_tokens"):
            if body.get(name) is None:
                raise Refused(f"{name}: Field required")
        if body["model"] != model:
            raise Refused(f"model: {shown(body['model'])}", 404)
        stops = body.get("stop_sequences")
        Texts()("stop_sequences", stops or [])
        asked, system = conversation(body.get("messages"), ROLES), _system(body.get("system"))
        return replace(
            asked,
            system=system,
            input_tokens=asked.input_tokens + count_tokens(system),
            most_tokens=body["max_tokens"],
            stop=stop_texts(stops),
            stream=bool(body.get("stream")),
        )

    def whole(self, answer: Answer) -> bytes:
        """The body of an unstreamed answer."""
        content = [{"type": "text", "text": answer.text}]
        counts = {"input_tokens": answer.prompt_tokens, "output_tokens": len(answer.tokens)}
        return wire.as_json(_message(answer, content, counts) | _stopped(answer))

    def parts(self, question: Question, answer: Answer) -> list[Part]:  # noqa: ARG002
        """What begins, the tokens, and what ends, each thing told by an event of its own."""
        begun = _message(answer, [], {"input_tokens": answer.prompt_tokens, "output_tokens": 1})
        block = {"type": "text", "text": ""}
        parts = [
            Part(0.0, named({"type": "message_start", "message": begun})),
            Part(0.0, named({"type": "content_block_start", "index": 0, "content_block": block})),
            Part(0.0, named({"type": "ping"})),
        ]
        for due_ms, token in zip(answer.dues_ms, answer.tokens, strict=True):
            delta = {"type": "text_delta", "text": token}
            value = {"type": "content_block_delta", "index": 0, "delta": delta}
            parts.append(Part(due_ms, named(value), 1))
        ends: list[dict[str, Any]] = [
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": _stopped(answer),
                "usage": {"output_tokens": len(answer.tokens)},
            },
            {"type": "message_stop"},
        ]
        return [*parts, *(Part(answer.last_ms, named(end)) for end in ends)]

    def error(self, message: str, status: int) -> bytes:
        """The body of an error."""
        kind_of = _KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
        return wire.as_json({"type": "error", "error": {"type": kind_of, "message": message}})


def _system(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise Refused(f"system is {kind(value)}, not a text or a list of blocks")
    for place, block in enumerate(value):
        told = block if isinstance(block, dict) else {}
        if told.get("type") != "text" or not isinstance(told.get("text"), str):
            raise Refused(f'system[{place}] is not {{"type": "text", "text": "..."}}')
    return "\n".join(block["text"] for block in value)


def _stopped(answer: Answer) -> dict[str, Any]:
    reason = "max_tokens" if answer.finish == "length" else "end_turn"
    return {"stop_reason": reason, "stop_sequence": None}


def _message(answer: Answer, content: list[dict[str, Any]], usage: dict[str, int]) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.number}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }

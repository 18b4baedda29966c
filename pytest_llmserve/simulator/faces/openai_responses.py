"""`POST /v1/responses`. Source: OpenAI's API reference, and its guide to streaming."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.faces import openai
from pytest_llmserve.simulator.faces.face import Answer
from pytest_llmserve.simulator.faults.fault import Part
from pytest_llmserve.simulator.fields import (
    LIST,
    OBJECT,
    TEXT,
    TRUTH,
    Check,
    Kind,
    Number,
    Refused,
    check_fields,
    kind,
    schema_of,
    shown,
)
from pytest_llmserve.simulator.question import Question, conversation
from pytest_llmserve.simulator.speech import count_tokens

ROLES = frozenset({"system", "developer", "user", "assistant"})

FIELDS: dict[str, Check] = {
    "model": TEXT,
    "instructions": TEXT,
    "max_output_tokens": openai.MOST_TOKENS,
    "temperature": Number(0, 2),
    "top_p": Number(0, 1),
    "stream": TRUTH,
    "background": TRUTH,
    "store": TRUTH,
    "parallel_tool_calls": TRUTH,
    "metadata": OBJECT,
    "reasoning": OBJECT,
    "text": OBJECT,
    "tools": LIST,
    "previous_response_id": TEXT,
    "truncation": Kind("string", among=("auto", "disabled")),
}

_ITEM = {
    "type": "object",
    "properties": {"role": {"enum": sorted(ROLES)}, "content": {"type": "string"}},
    "required": ["role", "content"],
}


class OpenAIResponses:
    """A text or messages in, streamed as server-sent events of many types."""

    name = "openai-responses"
    path = "/v1/responses"
    stream_type = "text/event-stream"

    @property
    def schema(self) -> dict[str, Any]:
        """Of the body."""
        found = schema_of(FIELDS, ("input",))
        items = {"type": "array", "items": _ITEM, "minItems": 1}
        found["properties"]["input"] = {"anyOf": [{"type": "string"}, items]}
        return found

    def read(self, body: dict[str, Any], model: str) -> Question:
        """Read a request's body. Raises Refused."""
        check_fields(body, FIELDS)
        if body.get("model") not in (None, model):
            raise Refused(f"the model {shown(body['model'])} does not exist: there is {model!r} only", 404)
        if body.get("previous_response_id") is not None:
            raise Refused(f"there is no response {shown(body['previous_response_id'])}: none is kept", 404)
        if body.get("background"):
            raise Refused("background is true: answers are given at once only")
        asked, instructions = _asked(body.get("input")), body.get("instructions") or ""
        return replace(
            asked,
            system="\n".join(text for text in (instructions, asked.system) if text),
            input_tokens=asked.input_tokens + count_tokens(instructions),
            most_tokens=body.get("max_output_tokens"),
            stream=bool(body.get("stream")),
        )

    def whole(self, answer: Answer) -> bytes:
        """The body of an unstreamed answer."""
        return wire.as_json(_over(answer))

    def parts(self, question: Question, answer: Answer) -> list[Part]:  # noqa: ARG002
        """What begins, the tokens, and what ends, each thing told by an event of its own."""
        numbers = count()
        part = {"type": "output_text", "text": "", "annotations": []}
        place: dict[str, Any] = {"item_id": f"msg_{answer.number}", "output_index": 0, "content_index": 0}
        begun = _response(answer, "in_progress", [])
        message = _message(answer, "in_progress", [])

        def event(due_ms: float, name: str, tokens: int = 0, **fields: Any) -> Part:
            value = {"type": f"response.{name}", "sequence_number": next(numbers), **fields}
            return Part(due_ms, named(value), tokens)

        parts = [
            event(0.0, "created", response=begun),
            event(0.0, "in_progress", response=begun),
            event(0.0, "output_item.added", output_index=0, item=message),
            event(0.0, "content_part.added", **place, part=part),
        ]
        for due_ms, token in zip(answer.dues_ms, answer.tokens, strict=True):
            parts.append(event(due_ms, "output_text.delta", 1, **place, delta=token))
        last_ms, over = answer.last_ms, _over(answer)
        return [
            *parts,
            event(last_ms, "output_text.done", **place, text=answer.text),
            event(last_ms, "content_part.done", **place, part=part | {"text": answer.text}),
            event(last_ms, "output_item.done", output_index=0, item=over["output"][0]),
            event(last_ms, over["status"], response=over),
        ]

    def error(self, message: str, status: int) -> bytes:
        """The body of an error."""
        return openai.error(message, status)


def named(value: dict[str, Any]) -> bytes:
    """A server-sent event that bears its type as its name too."""
    return f"event: {value['type']}\n".encode() + openai.event(value)


def _asked(value: Any) -> Question:
    if isinstance(value, str):
        return Question(prompt=value, input_tokens=count_tokens(value))
    if not isinstance(value, list):
        raise Refused(f"input is {kind(value)}, not a text or a list of items")
    return conversation([_item(number, item) for number, item in enumerate(value)], ROLES)


def _item(number: int, item: Any) -> Any:
    """An item of the input as a chat message."""
    if not isinstance(item, dict) or item.get("type", "message") != "message":
        raise Refused(f'input[{number}] is no item of the type "message"')
    content = item.get("content")
    if not isinstance(content, list):
        return item
    wanted = "output_text" if item.get("role") == "assistant" else "input_text"
    for place, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") != wanted:
            raise Refused(f'input[{number}].content[{place}] is not of the type "{wanted}"')
    return item | {"content": [part | {"type": "text"} for part in content]}


def _over(answer: Answer) -> dict[str, Any]:
    """The response when all is said."""
    text = {"type": "output_text", "text": answer.text, "annotations": []}
    status = "incomplete" if answer.finish == "length" else "completed"
    counts = openai.usage(answer)
    usage = {
        "input_tokens": counts["prompt_tokens"],
        "output_tokens": counts["completion_tokens"],
        "total_tokens": counts["total_tokens"],
    }
    return _response(answer, status, [_message(answer, status, [text])]) | {"usage": usage}


def _response(answer: Answer, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.number}",
        "object": "response",
        "created_at": int(answer.created_s),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "model": answer.model,
        "output": output,
        "usage": None,
    }


def _message(answer: Answer, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "message",
        "id": f"msg_{answer.number}",
        "status": status,
        "role": "assistant",
        "content": content,
    }

"""`POST /v1/chat/completions`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.faces import openai
from pytest_llmserve.simulator.faces.face import Answer
from pytest_llmserve.simulator.faults.fault import Part
from pytest_llmserve.simulator.fields import LIST, OBJECT, TRUTH, Check, Kind, Number, check_fields, schema_of
from pytest_llmserve.simulator.question import Question, conversation

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})

FIELDS: dict[str, Check] = openai.FIELDS | {
    "max_completion_tokens": openai.MOST_TOKENS,
    "logprobs": TRUTH,
    "top_logprobs": Number(0, 20, whole=True),
    "response_format": OBJECT,
    "tools": LIST,
}

FORMAT = Kind("string", among=("text", "json_object", "json_schema"))

_MESSAGE = {
    "type": "object",
    "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": {"type": "string"}},
    "required": ["role", "content"],
}


class OpenAIChat:
    """Chat, streamed as server-sent events."""

    name = "openai-chat"
    path = "/v1/chat/completions"
    stream_type = "text/event-stream"

    @property
    def schema(self) -> dict[str, Any]:
        """Of the body."""
        found = schema_of(FIELDS, ("messages",))
        found["properties"]["messages"] = {"type": "array", "items": _MESSAGE, "minItems": 1}
        return found

    def read(self, body: dict[str, Any], model: str) -> Question:
        """Read a request's body. Raises Refused."""
        check_fields(body, {"response_format": OBJECT})
        check_fields(body.get("response_format") or {}, {"type": FORMAT}, "response_format.")
        question = conversation(body.get("messages"), ROLES)
        return replace(question, **openai.read_common(body, FIELDS, model))

    def whole(self, answer: Answer) -> bytes:
        """The body of an unstreamed answer."""
        message = {"role": "assistant", "content": answer.text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
        value = openai.envelope(answer, "chat.completion", "chatcmpl", [choice])
        return wire.as_json(value | {"usage": openai.usage(answer)})

    def parts(self, question: Question, answer: Answer) -> list[Part]:
        """The role, the tokens, why it ended, and the counts where they were asked for."""
        parts = [Part(0.0, _event(answer, {"role": "assistant", "content": ""}))]
        for due_ms, token in zip(answer.dues_ms, answer.tokens, strict=True):
            parts.append(Part(due_ms, _event(answer, {"content": token}), 1))
        parts.append(Part(answer.last_ms, _event(answer, {}, answer.finish)))
        if question.include_usage:
            counts = _chunk(answer, []) | {"usage": openai.usage(answer)}
            parts.append(Part(answer.last_ms, openai.event(counts)))
        return [*parts, Part(answer.last_ms, openai.DONE)]

    def error(self, message: str, status: int) -> bytes:
        """The body of an error."""
        return openai.error(message, status)


def _event(answer: Answer, delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return openai.event(_chunk(answer, [choice]))


def _chunk(answer: Answer, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return openai.envelope(answer, "chat.completion.chunk", "chatcmpl", choices)

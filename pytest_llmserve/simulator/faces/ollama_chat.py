"""`POST /api/chat` of Ollama."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.faces import ollama
from pytest_llmserve.simulator.faces.face import Answer
from pytest_llmserve.simulator.faults.fault import Part
from pytest_llmserve.simulator.fields import LIST, Check, schema_of
from pytest_llmserve.simulator.question import Question, conversation

ROLES = frozenset({"system", "user", "assistant", "tool"})

FIELDS: dict[str, Check] = ollama.FIELDS | {"tools": LIST}

_MESSAGE = {
    "type": "object",
    "properties": {"role": {"enum": sorted(ROLES)}, "content": {"type": "string"}},
    "required": ["role", "content"],
}


class OllamaChat:
    """Chat, streamed as lines of JSON unless `stream` is false. No messages: the model is only loaded."""

    name = "ollama-chat"
    path = "/api/chat"
    stream_type = ollama.STREAM_TYPE

    @property
    def schema(self) -> dict[str, Any]:
        """Of the body."""
        found = schema_of(FIELDS, ("model",))
        found["properties"]["messages"] = {"type": "array", "items": _MESSAGE}
        return found

    def read(self, body: dict[str, Any], model: str) -> Question:
        """Read a request's body. Raises Refused."""
        common = ollama.read_common(body, FIELDS, model)
        if body.get("messages") in (None, []):
            return Question(**common | {"most_tokens": 0})
        return replace(conversation(body.get("messages"), ROLES), **common)

    def whole(self, answer: Answer) -> bytes:
        """The body of an unstreamed answer."""
        return wire.as_json(_said(answer, answer.text) | ollama.ending(answer))

    def parts(self, question: Question, answer: Answer) -> list[Part]:  # noqa: ARG002
        """A line a token, and one with the counts."""
        return ollama.lines(answer, lambda text: _said(answer, text))

    def error(self, message: str, status: int) -> bytes:  # noqa: ARG002
        """The body of an error."""
        return ollama.error(message)


def _said(answer: Answer, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"model": answer.model, "created_at": ollama.created_at(answer), "message": message}

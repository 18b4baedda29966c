"""`POST /api/chat` of Ollama."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_llmserve.simulator.faces import ollama
from pytest_llmserve.simulator.fields import LIST, Check, schema_of
from pytest_llmserve.simulator.question import Question, conversation

ROLES = frozenset({"system", "user", "assistant", "tool"})

FIELDS: dict[str, Check] = ollama.FIELDS | {"tools": LIST}

_MESSAGE = {
    "type": "object",
    "properties": {"role": {"enum": sorted(ROLES)}, "content": {"type": "string"}},
    "required": ["role", "content"],
}


class OllamaChat(ollama.Lines):
    """Chat, streamed as lines of JSON unless `stream` is false. No messages: the model is only loaded."""

    name = "ollama-chat"
    path = "/api/chat"

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

    def said(self, text: str) -> dict[str, Any]:
        """The field that holds the text of an answer, or of a part of it."""
        return {"message": {"role": "assistant", "content": text}}

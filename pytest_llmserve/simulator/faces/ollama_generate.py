"""`POST /api/generate` of Ollama."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.simulator.faces import ollama
from pytest_llmserve.simulator.fields import LIST, TEXT, TRUTH, Check, schema_of
from pytest_llmserve.simulator.question import Question
from pytest_llmserve.simulator.speech import count_tokens

FIELDS: dict[str, Check] = ollama.FIELDS | {
    "prompt": TEXT,
    "suffix": TEXT,
    "system": TEXT,
    "template": TEXT,
    "raw": TRUTH,
    "images": LIST,
}


class OllamaGenerate(ollama.Lines):
    """One prompt, streamed as lines of JSON unless `stream` is false. An empty one only loads the model."""

    name = "ollama-generate"
    path = "/api/generate"

    @property
    def schema(self) -> dict[str, Any]:
        """Of the body."""
        return schema_of(FIELDS, ("model",))

    def read(self, body: dict[str, Any], model: str) -> Question:
        """Read a request's body. Raises Refused."""
        common = ollama.read_common(body, FIELDS, model)
        system, prompt = body.get("system") or "", body.get("prompt") or ""
        if not prompt:
            common["most_tokens"] = 0
        tokens = count_tokens(system) + count_tokens(prompt)
        return Question(system=system, prompt=prompt, input_tokens=tokens, **common)

    def said(self, text: str) -> dict[str, Any]:
        """The field that holds the text of an answer, or of a part of it."""
        return {"response": text}

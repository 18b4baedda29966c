"""`POST /api/generate` of Ollama."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.faces import ollama
from pytest_llmserve.simulator.faces.face import Answer
from pytest_llmserve.simulator.faults.fault import Part
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


class OllamaGenerate:
    """One prompt, streamed as lines of JSON unless `stream` is false. An empty one only loads the model."""

    name = "ollama-generate"
    path = "/api/generate"
    stream_type = ollama.STREAM_TYPE

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
    return {"model": answer.model, "created_at": ollama.created_at(answer), "response": text}

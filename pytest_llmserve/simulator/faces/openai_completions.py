"""`POST /v1/completions`."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.faces import openai
from pytest_llmserve.simulator.faces.face import Answer
from pytest_llmserve.simulator.faults.fault import Part
from pytest_llmserve.simulator.fields import Check, Number, Refused, kind, schema_of
from pytest_llmserve.simulator.question import Question
from pytest_llmserve.simulator.speech import count_tokens

FIELDS: dict[str, Check] = openai.FIELDS | {"logprobs": Number(0, 5, whole=True)}


class OpenAICompletions:
    """Text that goes on, streamed as server-sent events."""

    name = "openai-completions"
    path = "/v1/completions"
    stream_type = "text/event-stream"

    @property
    def schema(self) -> dict[str, Any]:
        """Of the body."""
        found = schema_of(FIELDS, ("prompt",))
        found["properties"]["prompt"] = {"type": "string"}
        return found

    def read(self, body: dict[str, Any], model: str) -> Question:
        """Read a request's body. Raises Refused."""
        text, tokens = _prompt(body.get("prompt"))
        common = openai.read_common(body, FIELDS, model)
        return Question(prompt=text, input_tokens=tokens, **common)

    def whole(self, answer: Answer) -> bytes:
        """The body of an unstreamed answer."""
        return wire.as_json(_value(answer, answer.text, answer.finish) | {"usage": openai.usage(answer)})

    def parts(self, question: Question, answer: Answer) -> list[Part]:
        """The tokens, why it ended, and the counts where they were asked for."""
        parts = []
        for due_ms, token in zip(answer.dues_ms, answer.tokens, strict=True):
            parts.append(Part(due_ms, openai.event(_value(answer, token, None)), 1))
        parts.append(Part(answer.last_ms, openai.event(_value(answer, "", answer.finish))))
        if question.include_usage:
            counts = openai.envelope(answer, "text_completion", "cmpl", []) | {"usage": openai.usage(answer)}
            parts.append(Part(answer.last_ms, openai.event(counts)))
        return [*parts, Part(answer.last_ms, openai.DONE)]

    def error(self, message: str, status: int) -> bytes:
        """The body of an error."""
        return openai.error(message, status)


def _prompt(value: Any) -> tuple[str, int]:
    """The prompt, and its tokens: one text, alone or in a list, or a list of token numbers."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if isinstance(value, str):
        return value, count_tokens(value)
    if isinstance(value, list) and value and all(type(item) is int and 0 <= item < 2**31 for item in value):
        return " ".join(map(str, value)), len(value)
    raise Refused(f"prompt is {kind(value)}, not one text or the numbers of its tokens")


def _value(answer: Answer, text: str, finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    return openai.envelope(answer, "text_completion", "cmpl", [choice])

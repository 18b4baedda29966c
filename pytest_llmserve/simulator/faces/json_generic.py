"""`POST /generate`: a prompt in, a response out, as a small server of one's own has it."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.faces import openai
from pytest_llmserve.simulator.faces.face import Answer
from pytest_llmserve.simulator.faults.fault import Part
from pytest_llmserve.simulator.fields import TEXT, Check, Number, check_fields, schema_of
from pytest_llmserve.simulator.question import Question
from pytest_llmserve.simulator.speech import count_tokens

FIELDS: dict[str, Check] = {
    "prompt": TEXT,
    "max_tokens": Number(1, 2**31 - 1, whole=True),
    "temperature": Number(0, 2),
    "seed": Number(-(2**63), 2**63 - 1, whole=True),
}


class GenericJson:
    """Never streamed."""

    name = "json"
    path = "/generate"
    stream_type = "application/json"

    @property
    def schema(self) -> dict[str, Any]:
        """Of the body."""
        return schema_of(FIELDS, ("prompt",))

    def read(self, body: dict[str, Any], model: str) -> Question:  # noqa: ARG002
        """Read a request's body. Raises Refused."""
        TEXT("prompt", body.get("prompt"))
        check_fields(body, FIELDS)
        prompt = body["prompt"]
        return Question(prompt=prompt, input_tokens=count_tokens(prompt), most_tokens=body.get("max_tokens"))

    def whole(self, answer: Answer) -> bytes:
        """The body of an answer."""
        return wire.as_json({"response": answer.text})

    def parts(self, question: Question, answer: Answer) -> list[Part]:  # noqa: ARG002
        """All of it at once."""
        return [Part(answer.last_ms, self.whole(answer), len(answer.tokens))]

    def error(self, message: str, status: int) -> bytes:
        """The body of an error, as OpenAI's API words it."""
        return openai.error(message, status)

"""`POST /v2/models/MODEL/generate` and `/generate_stream`, as Triton has them.

Source: docs/protocol/extension_generate.md of triton-inference-server/server.
"""

from __future__ import annotations

from typing import Any

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.faces.face import Answer
from pytest_llmserve.simulator.faults.fault import Part
from pytest_llmserve.simulator.fields import (
    OBJECT,
    TEXT,
    TRUTH,
    Check,
    Number,
    Refused,
    Texts,
    check_fields,
    schema_of,
    stop_texts,
)
from pytest_llmserve.simulator.question import Question
from pytest_llmserve.simulator.speech import count_tokens

PARAMETERS: dict[str, Check] = {
    "frequency_penalty": Number(-2, 2),
    "ignore_eos": TRUTH,
    "max_tokens": Number(1, 2**31 - 1, whole=True),
    "presence_penalty": Number(-2, 2),
    "seed": Number(-(2**63), 2**63 - 1, whole=True),
    "stop": Texts(),
    "stream": TRUTH,
    "temperature": Number(0, 2),
    "top_k": Number(-1, 2**31 - 1, whole=True),
    "top_p": Number(0, 1, above=True),
}
FIELDS: dict[str, Check] = {"text_input": TEXT, "parameters": OBJECT} | PARAMETERS


class KServe:
    """One text, answered whole, or in events where `streams`; parameters in their object or beside it."""

    name = "kserve"
    stream_type = "text/event-stream; charset=utf-8"

    def __init__(self, streams: bool = False) -> None:
        self._streams = streams
        self.path = "/v2/models/{model}/generate" + ("_stream" if streams else "")

    def streamed(self) -> KServe:
        """The same API at its path for streams."""
        return KServe(streams=True)

    @property
    def schema(self) -> dict[str, Any]:
        """Of the body."""
        found = schema_of(FIELDS, ("text_input",))
        found["properties"]["parameters"] = schema_of(PARAMETERS, ())
        return found

    def read(self, body: dict[str, Any], model: str) -> Question:  # noqa: ARG002
        """Read a request's body. Raises Refused."""
        TEXT("text_input", body.get("text_input"))
        check_fields(body, FIELDS)
        check_fields(body.get("parameters") or {}, PARAMETERS, "parameters.")
        asked = {name: body[name] for name in PARAMETERS if name in body} | (body.get("parameters") or {})
        if asked.get("stream") and not self._streams:
            raise Refused("generate expects model to produce exactly 1 response, use generate stream instead")
        return Question(
            prompt=body["text_input"],
            input_tokens=count_tokens(body["text_input"]),
            most_tokens=asked.get("max_tokens"),
            full=bool(asked.get("ignore_eos")),
            stop=stop_texts(asked.get("stop")),
            stream=self._streams,
            pieces=bool(asked.get("stream")),
        )

    def whole(self, answer: Answer) -> bytes:
        """The body of an unstreamed answer."""
        return wire.as_json(_value(answer, answer.text))

    def parts(self, question: Question, answer: Answer) -> list[Part]:
        """The tokens, without any end mark; one event where `stream` does not ask for more."""
        if not question.pieces:
            return [Part(answer.last_ms, _event(answer, answer.text), len(answer.tokens))]
        said = zip(answer.dues_ms, answer.tokens, strict=True)
        return [Part(due_ms, _event(answer, token), 1) for due_ms, token in said]

    def error(self, message: str, status: int) -> bytes:  # noqa: ARG002
        """The body of an error."""
        return wire.as_json({"error": message})


def _event(answer: Answer, text: str) -> bytes:
    return b"data: " + wire.as_json(_value(answer, text)) + b"\n\n"


def _value(answer: Answer, text: str) -> dict[str, Any]:
    return {"model_name": answer.model, "model_version": "1", "text_output": text}

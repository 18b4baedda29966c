"""`POST /generate` and `/generate_stream` of text-generation-inference. Source: its OpenAPI document."""

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

FIELDS: dict[str, Check] = {"inputs": TEXT, "parameters": OBJECT}

PARAMETERS: dict[str, Check] = {
    "best_of": Number(1, 2, whole=True),
    "decoder_input_details": TRUTH,
    "details": TRUTH,
    "do_sample": TRUTH,
    "frequency_penalty": Number(-2, 2, above=True),
    "max_new_tokens": Number(1, 2**31 - 1, whole=True),
    "repetition_penalty": Number(0, above=True),
    "return_full_text": TRUTH,
    "seed": Number(0, 2**64 - 1, whole=True),
    "stop": Texts(4),
    "temperature": Number(0, above=True),
    "top_k": Number(0, 2**31 - 1, whole=True, above=True),
    "top_p": Number(0, 1, above=True),
    "truncate": Number(1, 2**31 - 1, whole=True),
    "typical_p": Number(0, 1, above=True),
    "watermark": TRUTH,
}

_KINDS = {424: "generation", 429: "overloaded", 500: "incomplete_generation"}


class Tgi:
    """One prompt, answered whole, or a token an event where `streams`; an end of its own is a token too."""

    name = "tgi"
    stream_type = "text/event-stream"

    def __init__(self, streams: bool = False) -> None:
        self._streams = streams
        self.path = "/generate_stream" if streams else "/generate"

    def streamed(self) -> Tgi:
        """The same API at its path for streams."""
        return Tgi(streams=True)

    @property
    def schema(self) -> dict[str, Any]:
        """Of the body."""
        found = schema_of(FIELDS, ("inputs",))
        found["properties"]["parameters"] = schema_of(PARAMETERS, ())
        return found

    def read(self, body: dict[str, Any], model: str) -> Question:  # noqa: ARG002
        """Read a request's body.

        Raises:
            Refused: with 422, as all that its validation finds.
        """
        parameters = body.get("parameters") or {}
        try:
            TEXT("inputs", body.get("inputs"))
            check_fields(body, FIELDS)
            check_fields(parameters, PARAMETERS, "parameters.")
        except Refused as error:
            raise Refused(str(error), 422) from None
        if not body["inputs"]:
            raise Refused("Input validation error: `inputs` cannot be empty", 422)
        return Question(
            prompt=body["inputs"],
            input_tokens=count_tokens(body["inputs"]),
            most_tokens=parameters.get("max_new_tokens"),
            stop=stop_texts(parameters.get("stop")),
            stream=self._streams,
            include_usage=bool(parameters.get("details")),
        )

    def whole(self, answer: Answer) -> bytes:
        """The body of an unstreamed answer."""
        tokens = [_token(place, text) for place, text in enumerate(_said(answer), 1)]
        details = _details(answer) | {"prefill": [], "tokens": tokens}
        return wire.as_json({"generated_text": answer.text, "details": details})

    def parts(self, question: Question, answer: Answer) -> list[Part]:
        """The tokens; the last has the whole text, and the counts where they were asked for."""
        said = _said(answer)
        dues = [*answer.dues_ms, answer.last_ms][: len(said)]
        parts = []
        for place, (text, due_ms) in enumerate(zip(said, dues, strict=True), 1):
            event = {"index": place, "token": _token(place, text), "generated_text": None, "details": None}
            if place == len(said):
                details = _details(answer) | {"input_length": answer.prompt_tokens}
                event |= {
                    "generated_text": answer.text,
                    "details": details if question.include_usage else None,
                }
            # Without a space behind the colon, as this server writes it.
            parts.append(Part(due_ms, b"data:" + wire.as_json(event) + b"\n\n", int(text != _END)))
        return parts

    def error(self, message: str, status: int) -> bytes:
        """The body of an error."""
        return wire.as_json({"error": message, "error_type": _KINDS.get(status, "validation")})


_END = "</s>"


def _said(answer: Answer) -> list[str]:
    """The tokens, and the special one with which an answer ends that was not cut."""
    return answer.tokens if answer.finish == "length" else [*answer.tokens, _END]


def _token(place: int, text: str) -> dict[str, Any]:
    return {"id": place, "text": text, "logprob": -0.5, "special": text == _END}


def _details(answer: Answer) -> dict[str, Any]:
    reason = "length" if answer.finish == "length" else "eos_token"
    return {"finish_reason": reason, "generated_tokens": len(_said(answer)), "seed": None}

"""What Ollama's two APIs have in common: lines of JSON. Source: docs/api.md of ollama/ollama."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime
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
    shown,
    stop_texts,
)
from pytest_llmserve.simulator.question import Question

FIELDS: dict[str, Check] = {"model": TEXT, "stream": TRUTH, "options": OBJECT}

OPTIONS: dict[str, Check] = {
    "num_predict": Number(-2, 2**31 - 1, whole=True),
    "num_ctx": Number(1, 2**31 - 1, whole=True),
    "temperature": Number(0, 2),
    "top_p": Number(0, 1),
    "top_k": Number(0, 2**31 - 1, whole=True),
    "min_p": Number(0, 1),
    "seed": Number(-(2**63), 2**63 - 1, whole=True),
    "stop": Texts(),
    "repeat_penalty": Number(0),
    "presence_penalty": Number(-2, 2),
    "frequency_penalty": Number(-2, 2),
}


def read_common(body: dict[str, Any], fields: dict[str, Check], model: str) -> dict[str, Any]:
    """Check a body; return what of it is common to `Question`s.

    Raises:
        Refused: 404 for another model, else 400.
    """
    check_fields(body, fields)
    named = body.get("model")
    if not named:
        raise Refused("model is required")
    if named.removesuffix(":latest") != model:
        raise Refused(f"model {shown(named)} not found", 404)
    options = body.get("options") or {}
    check_fields(options, OPTIONS, "options.")
    most = options.get("num_predict")
    return {
        # -1 and -2 are Ollama's words for no limit.
        "most_tokens": most if most and most > 0 else None,
        "stop": stop_texts(options.get("stop")),
        "stream": body.get("stream") is not False,
    }


def created_at(answer: Answer) -> str:
    """Of the answer, as Ollama writes it."""
    return (
        datetime.fromtimestamp(answer.created_s, UTC)
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z")
    )


def ending(answer: Answer) -> dict[str, Any]:
    """What the last line tells; durations in nanoseconds, as the timing law has them."""
    if answer.finish == "load":
        return {"done": True, "done_reason": "load"}
    first_ms = answer.dues_ms[0] if answer.dues_ms else 0.0
    return {
        "done": True,
        "done_reason": answer.finish,
        "total_duration": round((answer.waited_ms + answer.last_ms) * 1e6),
        "load_duration": 0,
        "prompt_eval_count": answer.prompt_tokens,
        "prompt_eval_duration": round(first_ms * 1e6),
        "eval_count": len(answer.tokens),
        "eval_duration": round((answer.last_ms - first_ms) * 1e6),
    }


class Lines(ABC):
    """What both answer with: one object, or a line a token and one with the counts."""

    stream_type = "application/x-ndjson"

    @abstractmethod
    def said(self, text: str) -> dict[str, Any]:
        """The field that holds the text of an answer, or of a part of it."""

    def whole(self, answer: Answer) -> bytes:
        """The body of an unstreamed answer."""
        return wire.as_json(self._line(answer, answer.text) | ending(answer))

    def parts(self, question: Question, answer: Answer) -> list[Part]:  # noqa: ARG002
        """The lines of a streamed one."""
        parts = []
        for due_ms, token in zip(answer.dues_ms, answer.tokens, strict=True):
            parts.append(Part(due_ms, wire.as_json(self._line(answer, token) | {"done": False}) + b"\n", 1))
        parts.append(Part(answer.last_ms, wire.as_json(self._line(answer, "") | ending(answer)) + b"\n"))
        return parts

    def error(self, message: str, status: int) -> bytes:  # noqa: ARG002
        """The body of an error."""
        return wire.as_json({"error": message})

    def _line(self, answer: Answer, text: str) -> dict[str, Any]:
        return {"model": answer.model, "created_at": created_at(answer)} | self.said(text)

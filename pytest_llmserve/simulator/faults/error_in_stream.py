"""An error inside a 200."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pytest_llmserve.simulator.faults.events import up_to
from pytest_llmserve.simulator.faults.fault import Asked, Fault, Part, Stream, within

MESSAGE = "EngineCore encountered an issue. See stack trace (above) for the root cause."


@dataclass
class ErrorInStream(Fault):
    """Some streams end in an error event inside a 200: "EngineCore encountered an issue" (vLLM).

    Attributes:
        every: how many requests there are to each that ends so.
        after: so many tokens.
    """

    every: int = within(10, 1)
    after: int = within(3, 0)

    def streamed(self, asked: Asked, stream: Stream) -> None:
        if asked.number % self.every == 0:
            kept = up_to(stream.parts, self.after)
            stream.parts[:] = [*kept, Part(kept[-1].due_ms if kept else 0.0, _event(asked.face))]


def _event(face: str) -> bytes:
    if face.startswith("ollama"):
        return json.dumps({"error": MESSAGE}).encode() + b"\n"
    if face in {"tgi", "kserve"}:
        kind = {"error_type": "generation"} if face == "tgi" else {}
        return b"data:" + json.dumps({"error": MESSAGE, **kind}).encode() + b"\n\n"
    if face.startswith("gradio"):
        return b"event: error\ndata: " + json.dumps({"error": MESSAGE, "title": "Error"}).encode() + b"\n\n"
    if face == "openai-responses":
        return _named({"type": "error", "code": "server_error", "message": MESSAGE, "param": None})
    if face == "anthropic-messages":
        return _named({"type": "error", "error": {"type": "api_error", "message": MESSAGE}})
    error = {"message": MESSAGE, "type": "InternalServerError", "code": 500}
    return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"


def _named(value: dict[str, Any]) -> bytes:
    return b"event: error\ndata: " + json.dumps(value).encode() + b"\n\n"

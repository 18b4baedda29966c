"""A Gradio app with one function, `predict`: ordered and fetched, or at once.

Source: the guide "Querying Gradio Apps with Curl" of gradio.app.
"""

from __future__ import annotations

from typing import Any

from pytest_llmserve.simulator import wire
from pytest_llmserve.simulator.faces.face import Answer
from pytest_llmserve.simulator.faults.fault import Part
from pytest_llmserve.simulator.fields import LIST, TEXT, Number, Refused, check_fields, kind
from pytest_llmserve.simulator.question import Question
from pytest_llmserve.simulator.speech import count_tokens

PREFIX = "/gradio_api"
FUNCTION = "predict"
VERSION = "6.31.0"
"""Of the API that is spoken."""

MOST_TOKENS = Number(1, 2**31 - 1)


class _App:
    """What both ways of asking have in common."""

    @property
    def schema(self) -> dict[str, Any]:
        """Of the body."""
        return {"type": "object", "properties": {"data": LIST.schema}, "required": ["data"]}

    def error(self, message: str, status: int) -> bytes:
        """The body of an error: FastAPI's words for a request's fault, Gradio's for the function's."""
        return wire.as_json({"error" if status >= 500 else "detail": message})

    def whole(self, answer: Answer) -> bytes:
        """The body of an answer that is not streamed."""
        took_s = (answer.waited_ms + answer.last_ms) / 1000
        told = {"data": [answer.text], "is_generating": False, "duration": took_s, "average_duration": took_s}
        return wire.as_json(told)


class Gradio(_App):
    """POST gives a number, GET with it the answer as events, each with all of the text so far."""

    name = "gradio"
    path = f"{PREFIX}/call/{FUNCTION}"
    stream_type = "text/event-stream"

    def read(self, body: dict[str, Any], model: str) -> Question:  # noqa: ARG002
        """Read a request's body. Raises Refused."""
        return _question(body, stream=True)

    def parts(self, question: Question, answer: Answer) -> list[Part]:  # noqa: ARG002
        """The text so far with each token, and once more at the end."""
        parts, said = [], ""
        for due_ms, token in zip(answer.dues_ms, answer.tokens, strict=True):
            said += token
            parts.append(Part(due_ms, event("generating", [said]), 1))
        return [*parts, Part(answer.last_ms, event("complete", [said]))]

    def ordered(self, number: str) -> bytes:
        """The body that answers an order."""
        return wire.as_json({"event_id": number})

    def unknown(self) -> bytes:
        """The stream of a number that was never given, or was fetched before."""
        return event("error", "404: Not Found")


class GradioRun(_App):
    """The answer at once, as apps of older generations have it."""

    name = "gradio-run"
    path = f"{PREFIX}/run/{FUNCTION}"
    stream_type = "application/json"

    def read(self, body: dict[str, Any], model: str) -> Question:  # noqa: ARG002
        """Read a request's body. Raises Refused."""
        return _question(body, stream=False)

    def parts(self, question: Question, answer: Answer) -> list[Part]:  # noqa: ARG002
        """All of it at once."""
        return [Part(answer.last_ms, self.whole(answer), len(answer.tokens))]


def event(name: str, data: Any) -> bytes:
    """One server-sent event."""
    return f"event: {name}\ndata: ".encode() + wire.as_json(data) + b"\n\n"


def config() -> dict[str, Any]:
    """What GET /config tells."""
    return {"version": VERSION, "api_prefix": PREFIX, "mode": "blocks", "components": [], "dependencies": []}


def info() -> dict[str, Any]:
    """What GET /gradio_api/info tells: the function takes a prompt, and the most tokens of its answer."""
    prompt = _described("prompt", "string", "Textbox", "Hello!!")
    most = _described("max_tokens", "number", "Number", 3) | {"parameter_has_default": True}
    returns = {"label": "value_1", "type": {"type": "string"}, "component": "Textbox"}
    function = {"parameters": [prompt, most], "returns": [returns], "api_visibility": "public"}
    return {"named_endpoints": {f"/{FUNCTION}": function}, "unnamed_endpoints": {}}


def _described(name: str, kind: str, component: str, example: Any) -> dict[str, Any]:
    return {
        "label": name,
        "parameter_name": name,
        "parameter_has_default": False,
        "parameter_default": None,
        "type": {"type": kind},
        "component": component,
        "example_input": example,
    }


def _question(body: dict[str, Any], *, stream: bool) -> Question:
    """A body's prompt and, behind it, the most tokens; both by their place.

    Raises:
        Refused: it is another one.
    """
    data = body.get("data")
    if not isinstance(data, list):
        raise Refused(f"data is {kind(data)}, not a list", 422)
    if not 1 <= len(data) <= 2:
        raise Refused(f"data has {len(data)} values: {FUNCTION} takes a prompt and perhaps max_tokens", 422)
    values = dict(zip(("prompt", "max_tokens"), data, strict=False))
    TEXT("prompt", values["prompt"])
    check_fields(values, {"max_tokens": MOST_TOKENS}, "data: ")
    most = values.get("max_tokens")
    return Question(
        prompt=values["prompt"],
        input_tokens=count_tokens(values["prompt"]),
        most_tokens=None if most is None else int(most),
        stream=stream,
    )

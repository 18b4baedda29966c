"""`gradio`: the functions of a Gradio app, generations 3 to 6.

`/call/FN` takes two exchanges: POST gives a place in the queue, GET with its number the answer as
events. `/run/FN` and `/api/FN` answer at once. The path decides, whether streamed or not.
Source: the guides "Querying Gradio Apps with Curl" and "Streaming Outputs" of gradio.app; routes.py
of gradio 3.50, 4.44, 5.50 and 6.31.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os.path import commonprefix
from typing import Any

import msgspec

from pytest_llmserve.dialects.decoding import make_decoder
from pytest_llmserve.dialects.encoding import json_body, json_headers
from pytest_llmserve.dialects.errors import NO_REASON, reported, sentence_from_body
from pytest_llmserve.dialects.gradio_app import GradioFunction, functions
from pytest_llmserve.dialects.gradio_text import said, said_elsewhere
from pytest_llmserve.dialects.json_generic import at, filled, template
from pytest_llmserve.dialects.piece import UNPARSABLE, Piece, Unreadable, keys_of, parse_json, shown
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import Decoder, HttpRequest, Prompt
from pytest_llmserve.domain.target import Target

__all__ = ["DEFAULT_PATH", "DEFAULT_REQUEST", "Gradio", "GradioFunction", "GradioReader", "functions"]

DEFAULT_REQUEST = '{"data": ["{prompt}"]}'
DEFAULT_ANSWER = "data.0"
DEFAULT_PATH = "/gradio_api/call/predict"
"""`predict` is what gr.Interface calls its function."""

_CALL = "/call/"
# The number becomes part of a path: a server must not choose another one for us.
_EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_CURSORS = "▌▍█"
_KEPT_BACK = (
    "the function failed and the server gave no reason: see its log, or start the app with"
    " launch(show_error=True)"
)

_FIRST_PART = (
    "only the first part of an answer that is generated bit by bit (is_generating is true): /run and /api do"
    " not wait for the rest, a path with /call/ does"
)


class Gradio:
    """A function of a Gradio app."""

    name = "gradio"
    limit_names: tuple[str, ...] = ()
    asks_usage = False
    two_steps = True

    def encode(self, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """Fill the template of `data`; `params` stand beside it as they are.

        Raises:
            SetupError: the template is no JSON object, or has no place for the prompt; or a
                parameter is no JSON value.
        """
        body = filled(template(target.json_request or DEFAULT_REQUEST, DEFAULT_REQUEST), target, prompt)
        if not isinstance(body, dict):
            raise SetupError(
                f"--llm-json-request is {keys_of(body)}: Gradio wants an object; write it like"
                f" '{DEFAULT_REQUEST}'"
            )
        body.update(params)
        return HttpRequest(
            "POST", _function_path(target.path), json_body(body), json_headers("application/json")
        )

    def decoder(self, target: Target, status: int, headers: Sequence[tuple[str, str]]) -> Decoder:
        """Return a decoder for an answer with this status and these headers (names in lower case)."""
        return make_decoder(GradioReader(target.json_answer), status, headers)

    def next_request(self, target: Target, path: str, status: int, body: bytes) -> HttpRequest | None:  # noqa: ARG002
        """The request that fetches the answer which this one ordered; None = this is the answer itself."""
        if status // 100 != 2 or _CALL not in path:
            return None
        try:
            event_id = _event_id(msgspec.json.decode(body))
        except UNPARSABLE:
            return None
        if not isinstance(event_id, str) or not _EVENT_ID.match(event_id):
            return None
        # Version 2 of the order takes parameters by name; its answer lies where that of version 1 does.
        place = path.replace("/call/v2/", _CALL)
        return HttpRequest("GET", f"{place}/{event_id}", b"", (("Accept", "text/event-stream"),))


class GradioReader:
    """Reads one answer; remembers the text so far, as each event has all of it.

    What an event adds to the text is a token's text. A text may also be written anew, such as that
    of an app which first says "Thinking...": then only what both begin with stays, and the event is a
    token too. Taking text away is none, nor is a cursor behind the text. Lives as long as the answer.
    """

    takes_lines = False
    needs_end_mark = True

    def __init__(self, answer_path: str | None) -> None:
        self._path = answer_path or DEFAULT_ANSWER
        self._text = ""

    def named(self, name: bytes, data: bytes) -> Piece:
        """Read one event by its name. Raises Unreadable."""
        if name == b"error":
            return Piece(error=_reason(data))
        if not data.strip():  # nothing, or an event that was cut before its data
            return Piece()
        if name not in (b"complete", b"generating"):
            return Piece()  # a heartbeat, or what later versions may tell beside the answer
        outputs = parse_json(data)
        error = reported(outputs, answer_path=self._path.removeprefix("data."))
        if error is not None:
            return Piece(error=_told(error))
        if name == b"generating":
            return self._grown((self._said({"data": outputs}) or self._text).rstrip(_CURSORS))
        piece = self._whole({"data": outputs})
        piece.ended = True
        return piece

    def event(self, data: bytes) -> Piece:
        """Read an event without a name, which can only be an error. Raises Unreadable."""
        value = parse_json(data)
        error = reported(value)
        if error is not None:
            return Piece(error=error)
        raise Unreadable(f"no name, where Gradio has generating, complete or error: {shown(data)}")

    def events(self, lines: bytes) -> list[str | Piece] | None:  # noqa: ARG002
        """None: each event is read with the one before it."""
        return None

    def body(self, data: bytes) -> Piece:
        """Read a whole answer. Raises Unreadable."""
        value = parse_json(data)
        event_id = _event_id(value)
        if event_id is not None:
            raise Unreadable(_not_fetched(event_id))
        if isinstance(value, dict) and "error" in value and "data" not in value:
            return Piece(error=_reason(msgspec.json.encode(value)))
        error = reported(value, answered=True, answer_path=self._path)
        if error is not None:
            return Piece(error=_told(error))
        piece = self._whole(value)
        if isinstance(value, dict) and value.get("is_generating") is True:
            piece.torn = _FIRST_PART
        return piece

    def _whole(self, value: Any) -> Piece:
        """The last word on the text: in a body, or in the event that ends a stream."""
        text = self._said(value)
        piece = Piece() if text is None else self._grown(text)
        if not text:
            other = said_elsewhere(value, self._path)
            if text is None or other is not None:
                sent = keys_of(value.get("data", value) if isinstance(value, dict) else value)
                hint = other or "the path of the one that is a text"
                piece.missed = (
                    f"no answer at {self._path!r}: the server sent {sent}; give --llm-json-answer {hint}"
                )
        return piece

    def _said(self, value: Any) -> str | None:
        return said(at(value, self._path), self._path)

    def _grown(self, text: str) -> Piece:
        """What a text adds to the one before it."""
        before, self._text = self._text, text
        if text.startswith(before):
            return Piece(text[len(before) :], len(text) > len(before))
        kept = len(commonprefix((before, text)))  # noqa: RUF071 - texts, not paths
        return Piece(text[kept:], kept < len(text), keeps=kept)


def _function_path(path: str) -> str:
    """The path to POST to: that of the URL, which names a function, unless it stops before its name."""
    if path.endswith("/gradio_api"):
        return f"{path}/call/predict"
    if path.endswith("/call"):
        return f"{path}/predict"
    return path or DEFAULT_PATH


def _event_id(value: Any) -> Any:
    return value.get("event_id") if isinstance(value, dict) and "data" not in value else None


def _not_fetched(event_id: Any) -> str:
    if not isinstance(event_id, str) or not _EVENT_ID.match(event_id):
        return (
            f"the event_id {str(event_id)[:40]!r} has more than letters, digits, '-' and '_':"
            " no answer is fetched by it"
        )
    return (
        f"the server took the order (event_id {event_id!r}), but its answer is not fetched: that takes a path"
        " with /call/, and an order that is answered uncompressed"
    )


def _reason(data: bytes) -> str:
    """The sentence of an error; Gradio keeps back that of most exceptions."""
    return _told(NO_REASON if _says_null(data) else sentence_from_body(data))


def _told(sentence: str) -> str:
    return _KEPT_BACK if sentence == NO_REASON else sentence


def _says_null(data: bytes) -> bool:
    """True for {"error": null}, as Gradio 6 has it."""
    try:
        value = msgspec.json.decode(data)
    except UNPARSABLE:
        return False
    return isinstance(value, dict) and value.get("error", "") is None

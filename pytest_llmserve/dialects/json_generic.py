"""`json`: any POST that takes JSON and answers JSON, JSON lines or events with JSON."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pytest_llmserve.dialects.decoding import ErrorDecoder
from pytest_llmserve.dialects.encoding import content_text, json_body, json_headers, messages, prompt_text
from pytest_llmserve.dialects.errors import reported
from pytest_llmserve.dialects.growing import Growing
from pytest_llmserve.dialects.json_decoder import JsonDecoder
from pytest_llmserve.dialects.piece import Piece, Unreadable, keys_of, not_json, parse_json
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import Decoder, HttpRequest, OneStep, Prompt
from pytest_llmserve.domain.target import Target

DEFAULT_REQUEST = '{"prompt": "{prompt}"}'
DEFAULT_PATH = "/generate"

ANSWER_PATHS = (
    "response",
    "text",
    "answer",
    "output",
    "generated_text",
    "completion",
    "content",
    "result",
    "reply",
    "prediction",
    "predictions",
    "label",
    "message.content",
    "choices.0.message.content",
    "choices.0.text",
    "0.generated_text",
    "0.label",
    "0.0.label",
    "data.0",
    "0",
)
"""Where an answer is looked for when `--llm-json-answer` is not given.

The first text found that is not empty; where there is none, the first list of texts, or a number.
"""

EVENT_PATHS = ("token.text", "choices.0.delta.content", "delta", "token", *ANSWER_PATHS, "text_output")
"""The same for one event or line of a stream."""

_USAGE_PATHS = ("usage.completion_tokens", "usage.output_tokens", "eval_count", "details.generated_tokens")
_FINISH_PATHS = ("finish_reason", "done_reason", "choices.0.finish_reason", "details.finish_reason")
_NAMES = ("prompt", "messages", "model", "system")
_BRACED = re.compile(r"\{(\w+)\}")
_HOLE = re.compile(r"\{(prompt|model|system)\}")
_LIST_STARTS = (b"[{", b"[[", b'["')
_SYSTEM = ("system", "developer")


class GenericJson(OneStep):
    """A server of no known API, described by a request template and a path to the answer."""

    name = "json"
    limit_names: tuple[str, ...] = ()
    asks_usage = False

    def encode(self, target: Target, prompt: Prompt, params: Mapping[str, Any]) -> HttpRequest:
        """Fill the template; `params` go to its top level as they are.

        Raises:
            SetupError: the template is no JSON, has no place for the prompt, or needs a
                model that is not known; or a parameter is no JSON value.
        """
        body = filled(template(target.json_request or DEFAULT_REQUEST), target, prompt)
        if params:
            if not isinstance(body, dict):
                names = ", ".join(params)
                raise SetupError(f"--llm-json-request is not an object: no place for the parameters {names}")
            body.update(params)
        accept = "application/json"
        if target.stream:
            accept = "text/event-stream, application/x-ndjson, application/json"
        return HttpRequest("POST", target.path or DEFAULT_PATH, json_body(body), json_headers(accept))

    def decoder(self, target: Target, status: int, headers: Sequence[tuple[str, str]]) -> Decoder:
        """Return a decoder for an answer with this status and these headers (names in lower case)."""
        if status >= 400:
            return ErrorDecoder(status, headers)
        return JsonDecoder(JsonReader(target.json_answer), status, headers)


class JsonReader:
    """Reads one answer; remembers where in its events the text lies. Lives as long as that answer."""

    takes_lines = True

    def __init__(self, answer_path: str | None) -> None:
        self.takes_text = answer_path is None
        self.growing = Growing()
        self._asked = answer_path
        self._found: str | None = None
        self._marks_its_end = False
        self._raw = False

    @property
    def needs_end_mark(self) -> bool:
        """True once an event has a field for the end, such as "done": false."""
        return self._marks_its_end

    def event(self, data: bytes) -> Piece:
        """Read one event or line; turn a text that holds all so far into what is new. Raises Unreadable."""
        piece = self._read(data)
        piece.text, piece.token = self.growing.add(piece.text)
        return piece

    def _read(self, data: bytes) -> Piece:
        text = self._raw_text(data)
        if text is not None:
            return Piece(text)
        value = parse_json(data)
        path = self._asked or self._found
        if path is None:
            path = self._found = _first_text(value, EVENT_PATHS)
        text = self._bare(value) or _text_at(value, path)
        piece = self._piece(value, text, answered=text is not None)
        if isinstance(value, dict):
            piece.ended = value.get("done") is True
            self._marks_its_end = self._marks_its_end or _has_end_field(value)
        return piece

    def _raw_text(self, data: bytes) -> str | None:
        """The data of an event as it is, from the first one on that is no JSON; None = it is JSON.

        Small servers write "data: word". What begins like an object or a list of JSON is that, broken or not.
        """
        if self._asked is not None or data[:1] == b"{" or data[:2] in _LIST_STARTS:
            return None
        try:
            if not self._raw:
                parse_json(data)
                return None
        except Unreadable:
            self._raw = True
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise Unreadable(not_json(data, error)) from None

    def _bare(self, value: Any) -> str | None:
        """An answer that is a text or a number by itself."""
        if self._asked is not None or isinstance(value, bool):
            return None
        return (
            value
            if isinstance(value, str)
            else json.dumps(value)
            if isinstance(value, (int, float))
            else None
        )

    def events(self, lines: bytes) -> list[str | Piece] | None:  # noqa: ARG002
        """None: the answer may lie anywhere, so each event is read by itself."""
        return None

    def body(self, data: bytes) -> Piece:
        """Read a whole answer. Raises Unreadable."""
        value = parse_json(data)
        bare = self._bare(value)
        if bare is not None:
            return Piece(bare, bool(bare))
        path = self._asked or _first_text(value, ANSWER_PATHS) or _first_number(value, ANSWER_PATHS)
        text = _text_at(value, path)
        return self._piece(value, text, answered=bool(text))

    def _piece(self, value: Any, text: str | None, *, answered: bool) -> Piece:
        error = reported(value, answered=answered, answer_path=self._asked)
        if error is not None:
            return Piece(error=error)
        return Piece(
            text=text or "",
            token=bool(text),
            finish_reason=next((f for p in _FINISH_PATHS if isinstance(f := at(value, p), str)), None),
            output_tokens=next((n for p in _USAGE_PATHS if type(n := at(value, p)) is int), None),
            missed=None if text is not None else self._nothing(value),
        )

    def _nothing(self, value: Any) -> str:
        place = f"{self._asked!r}" if self._asked else "any usual place"
        return f"no answer at {place}: the server sent {keys_of(value)}; give --llm-json-answer"


@lru_cache(maxsize=16)
def template(text: str, example: str = DEFAULT_REQUEST) -> Any:
    """Parse a request template. The value is shared: do not change it.

    Args:
        text: the template.
        example: a right one, for the sentence on a wrong one.

    Raises:
        SetupError: not JSON, or without a place for the prompt; names the position.
    """
    like = f"write it like '{example}'"
    try:
        value = json.loads(text)
        strings = _strings(value)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno} of {text!r}"
        raise SetupError(f"--llm-json-request is not JSON: {error.msg} at {where}; {like}") from None
    except RecursionError:
        raise SetupError(f"--llm-json-request is nested too deep; {like}") from None
    if not any("{prompt}" in string or string == "{messages}" for string in strings):
        raise SetupError(
            f'--llm-json-request has no "{{prompt}}" in any of its texts: {text!r};{_meant(strings)} {like}'
        )
    return value


def _meant(strings: Sequence[str]) -> str:
    """A hint where a name in braces is nearly that of the prompt."""
    for name in (name for string in strings for name in _BRACED.findall(string)):
        if name not in _NAMES and difflib.get_close_matches(name.lower(), _NAMES[:2], n=1):
            return f" did you mean it by {{{name}}}?"
    return ""


def at(value: Any, path: str) -> Any:
    """The value at a dotted path, such as "choices.0.text"; None when there is none."""
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _text_at(value: Any, path: str | None) -> str | None:
    """The answer as text. Numbers and truth values are written as in JSON, parts of an answer joined."""
    found = at(value, path) if path is not None else None
    if found is None or isinstance(found, str):
        return found
    if _is_parts(found):
        return "".join([part if isinstance(part, str) else content_text([part]) for part in found])
    if isinstance(found, (dict, list)):
        raise Unreadable(f"the answer at {path!r} is {keys_of(found)}, not a text: give --llm-json-answer")
    return json.dumps(found)


def _is_parts(value: Any) -> bool:
    """True for a list of texts, or of parts as chat messages have them."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(part, str) or isinstance(at(part, "text"), str) for part in value)


def _first_text(value: Any, paths: Sequence[str]) -> str | None:
    """The first path with a text that is not empty, else with parts, else with an empty text."""
    found = {path: at(value, path) for path in paths}
    wanted = (_is_text, _is_parts, lambda held: held == "")
    return next((path for fits in wanted for path, held in found.items() if fits(held)), None)


def _first_number(value: Any, paths: Sequence[str]) -> str | None:
    return next((path for path in paths if type(at(value, path)) in (int, float)), None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _has_end_field(value: dict[str, Any]) -> bool:
    choice = at(value, "choices.0")
    return type(value.get("done")) is bool or (isinstance(choice, dict) and "finish_reason" in choice)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []


def filled(wanted: Any, target: Target, prompt: Prompt) -> Any:
    """A copy of a template with prompt and model in their places; the system prompt too, where it has one.

    Raises:
        SetupError: it needs a model that is not known.
    """
    has_place = any("{system}" in text for text in _strings(wanted))
    system, rest = _apart(prompt) if has_place else ("", prompt)
    return _filled(wanted, target, rest, system)


def _filled(value: Any, target: Target, prompt: Prompt, system: str) -> Any:
    """A copy of the template with prompt, system prompt and model in the places for them."""
    if isinstance(value, dict):
        return {key: _filled(item, target, prompt, system) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, target, prompt, system) for item in value]
    if value == "{messages}":
        return messages(prompt)
    if not isinstance(value, str):
        return value
    if "{model}" in value and target.model is None:
        raise SetupError('--llm-json-request has a "{model}", but no model is known: give --llm-model')
    texts = {"prompt": prompt_text(prompt), "system": system, "model": target.model or ""}
    # One pass, so that a prompt which itself says "{model}" stays as it is.
    return _HOLE.sub(lambda hole: texts[hole[1]], value)


def _apart(prompt: Prompt) -> tuple[str, Prompt]:
    """The text of the system messages, and the prompt without them."""
    if isinstance(prompt, str):
        return "", prompt
    system = [content_text(each.get("content")) for each in prompt if each.get("role") in _SYSTEM]
    return "\n".join(system), [each for each in prompt if each.get("role") not in _SYSTEM]

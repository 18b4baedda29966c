"""What a Gradio app tells of its functions. Pure: takes the JSON of its two pages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_llmserve.dialects.openapi import PATH_WORDS, PROMPT_FIELDS

_TEXT_INPUTS = {"Textbox", "TextArea", "Code", "Markdown"}
_NAME = re.compile(r"[\w.~-]+\Z")
_PREFIX = re.compile(r"(?:/[!-~]*)?\Z")
_TEXT_OUTPUTS = {"Textbox", "TextArea", "Code", "Markdown", "HTML", "Chatbot", "Label", "Text", "Json"}


class GradioFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function of an app that can be called.

    Attributes:
        name: without the slash that Gradio puts before it.
        path: to POST to, below the app's own URL.
        request: template for `--llm-json-request`; a text holds "{prompt}" where `takes_text`.
        answer: path for `--llm-json-answer`, to the first output that is a chat, else a text.
        takes_text: one of its parameters takes the prompt.
        gives_text: one of its outputs is a text or a chat.
        generation: first number of Gradio's version.
    """

    name: str
    path: str
    request: str
    answer: str = "data.0"
    takes_text: bool
    gives_text: bool
    generation: int


def functions(info: Any, config: Any) -> tuple[GradioFunction, ...]:
    """The named functions of an app, the likeliest to be a model's first.

    Args:
        info: JSON of GET /gradio_api/info (Gradio 5 and later) or /info (3 and 4).
        config: JSON of GET /config.

    Returns:
        Empty where the two are not those of a Gradio app. A function whose description no Gradio
        writes is left out.
    """
    version = _dict(config).get("version")
    number = version.partition(".")[0] if isinstance(version, str) else ""
    if not number.isdecimal() or prefix_of(_dict(config)) is None:
        return ()
    found = []
    for name, described in _dict(_dict(info).get("named_endpoints")).items():
        bare = str(name).removeprefix("/")
        if _NAME.match(bare) and _is_described(_dict(described)):
            found.append(_function(bare, _dict(described), _dict(config), int(number)))
    return tuple(sorted(found, key=_unlikeliness))


def prefix_of(config: Mapping[str, Any]) -> str | None:
    """What stands before the paths of an app, without the last slash; None where it is no path."""
    prefix = config.get("api_prefix")
    if not isinstance(prefix, str):
        return ""
    return prefix.rstrip("/") if _PREFIX.match(prefix) else None


def _is_described(described: Mapping[str, Any]) -> bool:
    rows = (*_dicts(described.get("parameters")), *_dicts(described.get("returns")))
    return all(isinstance(row.get("component"), str | None) for row in rows)


def _function(
    name: str, described: dict[str, Any], config: dict[str, Any], generation: int
) -> GradioFunction:
    parameters = _dicts(described.get("parameters"))
    outputs = _dicts(described.get("returns"))
    place = _prompt_place(parameters)
    inputs = _inputs(name, config, len(parameters))
    shown = [_dict(one.get("props")).get("value") for one in inputs if not _is_state(one)]
    data = [_default(parameter, value) for parameter, value in zip(parameters, shown, strict=True)]
    if place is not None:
        data[place] = _prompt_value(parameters[place])
    values = iter(data)
    texts = [at for at, output in enumerate(outputs) if _is_text(output, _TEXT_OUTPUTS)]
    # Beside a chat the text box is an output too, to be emptied.
    texts.sort(key=lambda at: outputs[at].get("component") != "Chatbot")
    return GradioFunction(
        name=name,
        path=f"{prefix_of(config) or ''}/{'call' if generation >= 4 else 'run'}/{name}",
        request=json.dumps({"data": [None if _is_state(one) else next(values) for one in inputs]}),
        answer=f"data.{texts[0] if texts else 0}",
        takes_text=place is not None,
        gives_text=bool(texts),
        generation=generation,
    )


def _unlikeliness(function: GradioFunction) -> tuple[bool, bool, int]:
    words = [rank for rank, word in enumerate(PATH_WORDS) if word in function.name.lower()]
    return (not function.takes_text, not function.gives_text, min(words, default=len(PATH_WORDS)))


def _prompt_place(parameters: list[dict[str, Any]]) -> int | None:
    """Which parameter takes the prompt: one of that name, else the first text without a default."""
    places = [at for at, parameter in enumerate(parameters) if _takes_prompt(parameter)]
    for field in PROMPT_FIELDS:
        for at in places:
            if field in (parameters[at].get("parameter_name"), str(parameters[at].get("label")).lower()):
                return at
    without = [at for at in places if parameters[at].get("parameter_has_default") is not True]
    return next(iter(without or places), None)


def _takes_prompt(parameter: dict[str, Any]) -> bool:
    return _is_form(parameter) or _is_text(parameter, _TEXT_INPUTS)


def _is_form(parameter: dict[str, Any]) -> bool:
    """A text box that takes files beside its text; /info writes its name in its own way."""
    return str(parameter.get("component")).lower() == "multimodaltextbox"


def _is_text(described: dict[str, Any], components: set[str]) -> bool:
    """A text to be written freely, neither a choice nor a file's path."""
    component = described.get("component")
    if isinstance(component, str) and component in components:
        return True
    kind = _dict(described.get("type"))
    custom = component in {None, "Api"}
    return custom and kind.get("type") == "string" and "enum" not in kind


def _prompt_value(parameter: dict[str, Any]) -> Any:
    if _is_form(parameter):
        return {"text": "{prompt}", "files": []}
    return "{prompt}"


def _default(parameter: dict[str, Any], shown: Any) -> Any:
    """What to send for a parameter that is not the prompt: its default, what the page shows, an example."""
    if parameter.get("parameter_has_default") is True:
        return parameter.get("parameter_default")
    if shown is not None:
        return shown
    if parameter.get("component") == "Chatbot":
        return []
    choices = _dict(parameter.get("type")).get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    if _takes_prompt(parameter):
        return ""
    example = parameter.get("example_input")
    return example if isinstance(example, (bool, int, float)) else None


def _inputs(name: str, config: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The components that a function takes its inputs from, those of State too, as `config` tells.

    A State is kept by the app, so that it is no parameter; yet it has its place in `data`, empty.
    Generation 3 tells in no other place what a parameter has where nothing is given.
    """
    rows = _dicts(config.get("components"))
    components = {row["id"]: row for row in rows if isinstance(row.get("id"), int)}
    for row in _dicts(config.get("dependencies")):
        places = row.get("inputs")
        if row.get("api_name") == name and isinstance(places, list):
            found = [components.get(at, {}) if isinstance(at, int) else {} for at in places]
            if len([one for one in found if not _is_state(one)]) == count:
                return found
    return [{}] * count


def _is_state(component: Mapping[str, Any]) -> bool:
    return component.get("type") == "state"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [_dict(row) for row in value] if isinstance(value, list) else []

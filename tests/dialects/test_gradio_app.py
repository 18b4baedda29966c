"""What an app tells of its functions, as generations 3 to 6 tell it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_llmserve.dialects.gradio import functions


def text(name: str, **more: Any) -> dict[str, Any]:
    named = {"label": name, "parameter_name": name, "parameter_has_default": False, "parameter_default": None}
    kind = {"type": {"type": "string"}, "component": "Textbox", "example_input": "Hello!!"}
    return {**named, **kind, **more}


def number(name: str, **more: Any) -> dict[str, Any]:
    return text(name, type={"type": "number"}, component="Number", example_input=3, **more)


def described(*parameters: dict[str, Any], returns: tuple[dict[str, Any], ...] = (text("value_3"),)) -> Any:
    return {"parameters": list(parameters), "returns": list(returns)}


GENERATE = described(text("prompt"), number("max_tokens", parameter_has_default=True, parameter_default=8))
CONFIG_6 = {"version": "6.31.0", "api_prefix": "/gradio_api", "components": [], "dependencies": []}


@pytest.mark.parametrize(
    ("config", "path", "generation"),
    [
        (CONFIG_6, "/gradio_api/call/generate", 6),
        ({"version": "5.50.0", "api_prefix": "/gradio_api"}, "/gradio_api/call/generate", 5),
        ({"version": "4.44.1"}, "/call/generate", 4),
        ({"version": "3.50.2"}, "/run/generate", 3),
    ],
)
def test_each_generation_has_its_path(config: Any, path: str, generation: int) -> None:
    (found,) = functions({"named_endpoints": {"/generate": GENERATE}}, config)
    assert (found.name, found.path, found.generation) == ("generate", path, generation)
    assert json.loads(found.request) == {"data": ["{prompt}", 8]}
    assert (found.takes_text, found.gives_text, found.answer) == (True, True, "data.0")


def test_generation_3_tells_its_defaults_on_its_page_alone() -> None:
    """A State is no parameter, and has its place all the same."""
    bare = {"label": "parameter_1", "type": {"type": "string"}, "component": "Textbox"}
    info = {"named_endpoints": {"/generate": described(bare, {**bare, "component": "Slider"})}}
    components = [
        {"id": 1, "type": "textbox", "props": {"value": ""}},
        {"id": 4, "type": "state", "props": {}},
        {"id": 2, "type": "slider", "props": {"value": 64}},
    ]
    dependencies = [{"api_name": "other", "inputs": [1, 2]}, {"api_name": "generate", "inputs": [1, 4, 2]}]
    config = {"version": "3.50.2", "components": components, "dependencies": dependencies}
    assert json.loads(functions(info, config)[0].request) == {"data": ["{prompt}", None, 64]}


def test_the_prompt_goes_to_the_parameter_for_it() -> None:
    """One of a usual name before others, one without a default before one with; a chat box takes a form."""
    chat = {
        "label": "history",
        "type": {"type": "array"},
        "component": "Chatbot",
        "example_input": [["a", "b"]],
    }
    choice = text("style", type={"type": "string", "enum": ["short", "long"]}, component="Dropdown")
    box = {
        **text("message", parameter_has_default=True),
        "component": "Multimodaltextbox",
        "type": {"type": "object"},
    }
    rows = {
        "/a": (described(text("system"), text("message"), choice), ["", "{prompt}", "short"]),
        "/b": (described(chat, text("x", parameter_has_default=True), text("y")), [[], None, "{prompt}"]),
        "/c": (described(box, text("system")), [{"text": "{prompt}", "files": []}, ""]),
        "/d": (described(choice, number("n")), ["short", 3]),
    }
    found = functions({"named_endpoints": {name: row[0] for name, row in rows.items()}}, CONFIG_6)
    assert {one.name: json.loads(one.request)["data"] for one in found} == {
        name[1:]: data for name, (_, data) in rows.items()
    }
    assert [one.takes_text for one in found] == [True, True, True, False]


def test_the_likeliest_function_comes_first_and_a_chat_is_its_answer() -> None:
    """One that takes and gives text, by the words of its name; beside a chat the text box is emptied."""
    file = text("value_1", component="File", type={"type": "string"})
    chat = text("value_2", component="Chatbot", type={"type": "array"})
    info = {
        "named_endpoints": {
            "/clear": described(),
            "/upload": described(text("prompt"), returns=(file,)),
            "/count": described(text("text")),
            "/chat": described(text("message"), returns=(text("value_1"), chat)),
        }
    }
    found = functions(info, CONFIG_6)
    assert [one.name for one in found] == ["chat", "count", "upload", "clear"]
    assert [one.gives_text for one in found] == [True, True, False, True]
    assert found[0].answer == "data.1"


@pytest.mark.parametrize("value", [None, [], {}, {"version": 6}, {"version": "x"}, {"named_endpoints": [1]}])
def test_what_is_no_app_has_no_functions(value: Any) -> None:
    assert functions({"named_endpoints": {"/generate": GENERATE}}, value) == ()
    assert functions(value, CONFIG_6) == ()


def test_a_name_that_is_no_part_of_a_path_is_left_out() -> None:
    """A server must not choose another path for us."""
    names = ("/../x", "/a b", "/a?b", "", "/a/b", "/ok-1")
    found = functions({"named_endpoints": dict.fromkeys(names, GENERATE)}, CONFIG_6)
    assert [one.name for one in found] == ["ok-1"]

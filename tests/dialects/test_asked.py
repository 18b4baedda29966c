"""One word for the length of an answer, whatever a server calls it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_llmserve.dialects import DIALECTS, dialect
from pytest_llmserve.dialects.encoding import asked, limited


def body(api: str, make_target: Any, params: dict[str, Any], **fields: Any) -> Any:
    target = make_target(api=api, model="m", **fields)
    return json.loads(asked(dialect(api), target, "hi", params).body)


@pytest.mark.parametrize("api", [name for name in DIALECTS if dialect(name).limit_names])
def test_max_tokens_is_written_as_each_name_that_a_server_was_seen_to_take(
    api: str, make_target: Any
) -> None:
    for name in dialect(api).limit_names:
        found: Any = body(api, make_target, {"max_tokens": 8}, limit_name=name)
        assert name == "max_tokens" or "max_tokens" not in found
        for step in name.split("."):
            found = found[step]
        assert found == 8


def test_what_names_the_field_itself_goes_before_and_its_neighbours_stay(make_target: Any) -> None:
    own = {"options": {"num_predict": 3, "seed": 1}, "max_tokens": 8}
    sent = body("ollama-chat", make_target, own, limit_name="options.num_predict")
    assert sent["options"] == {"num_predict": 3, "seed": 1}
    sent = body(
        "ollama-chat",
        make_target,
        {"options": {"seed": 1}, "max_tokens": 8},
        limit_name="options.num_predict",
    )
    assert sent["options"] == {"num_predict": 8, "seed": 1}


@pytest.mark.parametrize("api", ["json", "openai-chat"])
def test_a_server_without_a_known_field_gets_the_word_as_it_stands(api: str, make_target: Any) -> None:
    assert body(api, make_target, {"max_tokens": 8}, limit_name=None)["max_tokens"] == 8


def test_a_limit_is_as_deep_as_its_name() -> None:
    assert limited("options.num_predict", 4) == {"options": {"num_predict": 4}}
    assert limited(None, 4) == {}

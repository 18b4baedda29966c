"""What was asked of an endpoint is taken out of its server's log."""

from __future__ import annotations

import json

import msgspec
import pytest

from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.serve import said
from pytest_llmserve.serve.endpoint import Endpoint

KEY = "Bearer sk-very-secret-key"
TARGET = msgspec.structs.replace(
    target_from_url("http://127.0.0.1:1"), api="openai-chat", headers=(("Authorization", KEY),)
)
LINE = f"ERROR: no answer to 'Why are whales so old?' of {KEY}"


@pytest.fixture
def endpoint():
    made = Endpoint(TARGET)
    yield made
    made.close()


def test_a_line_is_told_without_what_was_asked_and_without_the_key(endpoint):
    """Of single questions as of loads; what nobody asked stays."""
    assert endpoint.cleaned(LINE) == "ERROR: no answer to 'Why are whales so old?' of ***"
    endpoint.said.request(json.dumps({"prompt": "Why are whales so old?"}).encode())
    assert endpoint.cleaned(LINE) == "ERROR: no answer to '[prompt]' of ***"
    endpoint.said.load(lambda: ["How do otters sleep?"])
    assert endpoint.cleaned("ERROR: How do otters sleep?") == "ERROR: [prompt]"


def test_prompts_of_a_load_are_read_once_and_only_when_there_is_a_line(endpoint):
    """A load of a million prompts costs nothing as long as its server logs no error."""
    asked = []
    endpoint.said.load(lambda: asked.append(1) or ["How do otters sleep?"])
    assert asked == []
    endpoint.cleaned(LINE)
    endpoint.cleaned(LINE)
    assert asked == [1]


def test_a_line_is_withheld_where_there_is_too_much_to_look_for(endpoint, monkeypatch):
    """Better no line than a prompt."""
    monkeypatch.setattr(said, "_MOST_CHARS", 100)
    endpoint.said.load(lambda: (f"How do {number} otters sleep?" for number in range(10)))
    assert endpoint.cleaned(LINE) == (
        "[a text that is not shown: it may hold a prompt; --llm-keep-text shows it]"
    )


def test_with_kept_texts_only_the_key_is_taken_out():
    """--llm-keep-text."""
    endpoint = Endpoint(msgspec.structs.replace(TARGET, keep_text=True))
    endpoint.said.request(json.dumps({"prompt": "Why are whales so old?"}).encode())
    assert endpoint.cleaned(LINE) == "ERROR: no answer to 'Why are whales so old?' of ***"
    endpoint.close()

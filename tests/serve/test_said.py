"""What was asked of an endpoint is taken out of its server's log."""

from __future__ import annotations

import json
import weakref
from functools import partial
from pathlib import Path

import msgspec
import pytest

from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.serve import said as said_module
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.said import NOT_SHOWN, Said

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


def test_prompts_of_a_load_are_read_when_there_are_lines_once_for_all_of_them(endpoint):
    """A load of a million prompts costs nothing as long as its server logs no error."""
    asked = []
    endpoint.said.load(lambda: asked.append(1) or ["How do otters sleep?"])
    assert asked == []
    assert endpoint.without_said(["How do otters sleep?", LINE]) == ["[prompt]", LINE]
    assert asked == [1]


def test_lines_are_withheld_where_looking_takes_too_long():
    """Better no line than a prompt; the time is that of all lines of a test, the next one has its own."""
    now_s = [0.0]
    said = Said(clock=lambda: now_s[0])

    def texts(slow_s):
        for number in range(4):
            now_s[0] += slow_s
            yield f"How do {number} otters sleep?"

    said.load(lambda: texts(0.75))
    assert said.without(["How do 2 otters sleep?"]) == ["[prompt]"]
    assert said.without(["out of memory", "How do 2 otters sleep?"]) == [NOT_SHOWN] * 2
    said.begin()
    assert said.without(["out of memory"]) == ["out of memory"]
    assert NOT_SHOWN == "[a text that is not shown: it may hold a prompt; --llm-keep-text shows it]"


def test_what_was_asked_two_tests_ago_is_let_go():
    """A server may be late with what the last test asked; older prompts are not kept in memory."""
    said = Said()
    prompts = type("Prompts", (list,), {})(["How do otters sleep?"])
    kept = weakref.ref(prompts)
    said.load(partial(list, prompts))
    said.request(b'{"prompt": "Why are whales so old?"}')
    del prompts
    said.begin()
    assert said.without(["How do otters sleep? Why are whales so old?"]) == ["[prompt] [prompt]"]
    said.begin()
    assert said.without(["How do otters sleep?"]) == ["How do otters sleep?"]
    assert kept() is None


def test_the_last_of_long_bodies_are_kept(monkeypatch):
    """Hostile ones are of many megabytes each; one that is too long alone is kept."""
    monkeypatch.setattr(said_module, "_MOST_BYTES", 40)
    said = Said()
    asked = ["How do otters sleep?", "Why are whales old?", "When do herons fish at noon?"]
    for text in asked[:2]:
        said.request(text.encode())
    assert said.without(asked) == ["[prompt]", "[prompt]", asked[2]]
    said.request(asked[2].encode())
    assert said.without(asked) == [asked[0], asked[1], "[prompt]"]
    said.request(b"What of it? " * 10)
    assert said.without(["What of it? What of it?"]) == ["[prompt]"]


def test_a_line_is_withheld_where_the_prompts_are_gone():
    """The file of a trace was removed."""
    said = Said()
    said.load(lambda: Path("/no/such/trace").read_text().split())
    assert said.without(["out of memory"]) == [NOT_SHOWN]


def test_with_kept_texts_only_the_key_is_taken_out():
    """--llm-keep-text."""
    endpoint = Endpoint(msgspec.structs.replace(TARGET, keep_text=True))
    endpoint.said.request(json.dumps({"prompt": "Why are whales so old?"}).encode())
    assert endpoint.cleaned(LINE) == "ERROR: no answer to 'Why are whales so old?' of ***"
    endpoint.close()

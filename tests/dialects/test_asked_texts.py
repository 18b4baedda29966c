"""What a request says, and what it only names."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from pytest_llmserve.dialects.asked_texts import hidden, hidden_reason, texts_of
from pytest_llmserve.dialects.piece import shown
from pytest_llmserve.domain.target import target_from_url

TARGET = msgspec.structs.replace(target_from_url("http://127.0.0.1:1"), model="meta-llama/Llama-3.1-8B")
BODY: dict[str, Any] = {
    "model": "meta-llama/Llama-3.1-8B",
    "messages": [
        {"role": "system", "content": "You are a careful pharmacist."},
        {"role": "user", "content": [{"type": "text", "text": "What of penicillin?"}]},
    ],
    "user": "ada@example.test",
}
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("head", [b"", HEAD], ids=["body", "whole request"])
def test_texts_are_all_that_is_said(head):
    """Messages in parts too, and fields that name a person; not the model, a role or a type."""
    assert texts_of(head + json.dumps(BODY).encode()) == [
        "You are a careful pharmacist.",
        "What of penicillin?",
        "ada@example.test",
    ]


def test_a_body_that_is_no_json_is_one_text():
    """As hostile bodies are."""
    assert texts_of(b"\xff what is this?") == ["\N{REPLACEMENT CHARACTER} what is this?"]


def test_an_error_is_told_without_prompt_and_answer():
    """The model's name stays, as an error that names it has to be read."""
    error = "404: meta-llama/Llama-3.1-8B of ada@example.test: What of penicillin? Penicillin is a"
    body = json.dumps(BODY).encode()
    assert hidden(error, TARGET, body, "Penicillin is an antibiotic") == (
        "404: meta-llama/Llama-3.1-8B of [prompt]: [prompt] [answer]"
    )


def test_with_kept_texts_an_error_is_told_as_it_is():
    """--llm-keep-text."""
    keeping = msgspec.structs.replace(TARGET, keep_text=True)
    assert (
        hidden("404: What of penicillin?", keeping, json.dumps(BODY).encode()) == "404: What of penicillin?"
    )


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (None, None),
        ("length", "length"),
        ("a_word_of_its_own", "a_word_of_its_own"),
        ("asked: What of penicillin?", "asked: [prompt]"),
        ("\x1b[31m" + "x" * 999, "\ufffd[31m" + "x" * 192 + "..."),
    ],
)
def test_why_an_answer_ended_is_told_without_what_was_asked(reason, told):
    """On a line, no longer than an error is."""
    assert hidden_reason(reason, TARGET, json.dumps(BODY).encode()) == told


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            b'{"a": "short", "content": "whales are very old", "n": 1',
            '{"a": "short", "content": "[text]", "n": 1',
        ),
        (b'{"choices": [{"delta": {"content": "whales are ve', '{"choices": [{"delta": {"content": "[text]'),
        (b'["whales are very old"', '["[text]"'),
        (b'"whales are very old', '"[text]'),
        (b'{"a_field_of_a_long_name": 1', '{"a_field_of_a_long_name": 1'),
        (b"Internal Server Error of nginx", "Internal Server Error of nginx"),
    ],
)
def test_what_could_not_be_read_is_shown_without_its_texts(data, told):
    """It may be an answer: its form tells what is wrong."""
    assert shown(data) == repr(told)

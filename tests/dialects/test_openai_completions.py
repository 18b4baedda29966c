"""The completions dialect: its requests, and where its answers differ from chat."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_llmserve.dialects import dialect
from pytest_llmserve.domain.exchange import Decoded

Decode = Callable[..., Decoded]
JSON = "application/json"


@pytest.mark.parametrize(
    ("path", "sent_to"),
    [
        ("", "/v1/completions"),
        ("/v1", "/v1/completions"),
        ("/proxy", "/proxy/v1/completions"),
        ("/v1/completions", "/v1/completions"),
        ("/openai/completions", "/openai/completions"),
        ("/v1/chat/completions", "/v1/completions"),
    ],
)
def test_the_path_gets_what_it_lacks(path: str, sent_to: str, make_target: Any) -> None:
    assert dialect("openai-completions").encode(make_target(path=path), "hi", {}).path == sent_to


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        ("hi", "hi"),
        ([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}], "be brief\nhi"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}], "a"),
        ([{"role": "assistant", "content": None}, {"role": "user", "content": "hi"}], "\nhi"),
        ([], ""),
    ],
)
def test_messages_become_one_text(prompt: Any, sent: str, make_target: Any) -> None:
    request = dialect("openai-completions").encode(make_target(stream=False), prompt, {})
    assert json.loads(request.body) == {"prompt": sent}


def test_usage_is_asked_for_only_where_the_server_takes_it(make_target: Any) -> None:
    request = dialect("openai-completions").encode(make_target(model="m", stream_usage=True), "hi", {})
    assert json.loads(request.body) == {
        "model": "m",
        "prompt": "hi",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (  # llama.cpp's answer to an empty prompt
            b'{"choices":[{"text":"","index":0,"finish_reason":"length"}],"usage":{"completion_tokens":0}}',
            "empty answer: status 200 with no text, reasoning or tool call, finish_reason 'length'",
        ),
        (
            b'{"choices":[{"text":""}]}',
            "empty answer: status 200 with no text, reasoning or tool call",
        ),
        (b'{"id":"x"}', "no answer at choices: the server sent the keys id"),
        (b"{}", "no answer at choices: the server sent {}"),
        (b"3", "not what the API promises (Expected `object`, got `int`)"),
        (
            b'{"choices":[{"text":5}]}',
            "not what the API promises (Expected `str | null`, got `int` - at `$.choices[0].text`)",
        ),
    ],
)
def test_a_body_without_an_answer_is_malformed(body: bytes, error: str, decode: Decode) -> None:
    decoded = decode("openai-completions", body, content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("malformed", error)


def test_of_several_choices_the_first_is_the_text_and_all_are_tokens(decode: Decode) -> None:
    body = (
        b'data: {"choices":[{"index":0,"text":"a"},{"index":1,"text":"x"}]}\n\n'
        b'data: {"choices":[{"index":1,"text":"y"}]}\n\n'
        b'data: {"choices":[{"index":0,"text":"b","finish_reason":"stop"}]}\n\n'
    )
    decoded = decode("openai-completions", body)
    assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", "ab", 3)


def test_a_chunk_of_empty_text_is_no_token(decode: Decode) -> None:
    body = (
        b'data: {"choices":[{"index":0,"text":""}]}\n\n'
        b'data: {"choices":[{"index":0,"text":"a"}]}\n\n'
        b'data: {"choices":[{"text":"","finish_reason":"stop"}],"usage":{"completion_tokens":0}}\n\n'
    )
    decoded = decode("openai-completions", body)
    assert (decoded.output_tokens, decoded.tokens_from) == (1, "estimated")

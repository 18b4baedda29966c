"""text-generation-inference's own API, as its documents have it.

https://huggingface.github.io/text-generation-inference and
https://huggingface.co/docs/text-generation-inference/basic_tutorials/consuming_tgi
"""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.dialects import dialect

JSON = "application/json"


def token(text, special=False, whole="null", details="null"):
    said = json.dumps({"id": 1, "text": text, "logprob": -0.5, "special": special})
    return f'data:{{"index":1,"token":{said},"generated_text":{whole},"details":{details}}}\n\n'.encode()


def sent(make_target, prompt="What?", params=None, **fields):
    return dialect("tgi").encode(make_target(**fields), prompt, params or {})


@pytest.mark.parametrize(
    ("path", "streamed", "whole"),
    [
        ("", "/generate_stream", "/generate"),
        ("/tgi", "/tgi/generate_stream", "/tgi/generate"),
        ("/generate", "/generate_stream", "/generate"),
        ("/generate_stream", "/generate_stream", "/generate"),
    ],
)
def test_the_path_tells_whether_to_stream(make_target, path, streamed, whole):
    assert sent(make_target, path=path).path == streamed
    assert sent(make_target, path=path, stream=False).path == whole


def test_details_are_asked_for_beside_the_users_parameters(make_target):
    """Without them no tokens are counted; and they can be switched off."""
    body = json.loads(sent(make_target, "What?", {"parameters": {"max_new_tokens": 20}}).body)
    assert body == {"inputs": "What?", "parameters": {"details": True, "max_new_tokens": 20}}
    off = json.loads(sent(make_target, "What?", {"parameters": {"details": False}, "stream": True}).body)
    assert off == {"inputs": "What?", "parameters": {"details": False}, "stream": True}
    assert json.loads(sent(make_target, "What?", {"parameters": None}).body)["parameters"] is None


def test_messages_become_one_text(make_target):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What?"}]
    assert json.loads(sent(make_target, messages).body)["inputs"] == "Be brief.\nWhat?"


def test_a_special_token_is_no_text(decode):
    """Nor a token chunk: nothing that a reader would see came with it."""
    details = '{"finish_reason":"eos_token","generated_tokens":3,"seed":null}'
    body = [
        token("a"),
        token("<pad>", special=True),
        token("</s>", special=True, whole='"a"', details=details),
    ]
    decoded = decode("tgi", body)
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", "a", (1000,))
    assert (decoded.output_tokens, decoded.finish_reason) == (3, "eos_token")


def test_without_details_the_whole_text_marks_the_end(decode):
    decoded = decode("tgi", token("a") + token("b", whole='"ab"'))
    assert (decoded.outcome, decoded.text, decoded.tokens_from) == ("ok", "ab", "estimated")
    cut = decode("tgi", token("a") + token("b"))
    assert (cut.outcome, cut.error) == (
        "cut_off",
        "the stream ended without a finish_reason or an end mark, after 2 token chunks",
    )


def test_an_error_event_is_the_servers(decode):
    """Unnamed, within a 200."""
    error = b'data:{"error":"Request failed during generation: CUDA","error_type":"generation"}\n\n'
    decoded = decode("tgi", token("a") + error)
    assert (decoded.outcome, decoded.error, decoded.text) == (
        "server_error_in_stream",
        "Request failed during generation: CUDA",
        "a",
    )


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (422, "Input validation error", "validation"),
        (424, "Request failed during generation", "generation"),
        (429, "Model is overloaded", "overloaded"),
    ],
)
def test_a_refusal_is_told_in_its_words(decode, status, error, kind):
    body = json.dumps({"error": error, "error_type": kind}).encode()
    decoded = decode("tgi", body, status=status, content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("http_4xx", f"{status}: {error}")


@pytest.mark.parametrize("form", ["%s", "[%s]"])
def test_a_body_may_stand_in_a_list(decode, form):
    """As the path / of the same server has it."""
    answer = '{"generated_text":"Deep","details":{"finish_reason":"length","generated_tokens":2}}'
    decoded = decode("tgi", (form % answer).encode(), content_type=JSON)
    assert (decoded.outcome, decoded.text, decoded.output_tokens) == ("ok", "Deep", 2)
    assert decoded.finish_reason == "length"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"[]", "no answer at generated_text: the server sent a list of 0"),
        (b'{"text":"a"}', "no answer at generated_text: the server sent the keys text"),
        (
            b'{"generated_text":5}',
            "not what the API promises (Expected `str | null`, got `int` - at `$.generated_text`)",
        ),
        (b'data:{"text":"a"}\n\n', "no answer at token.text: the server sent the keys text"),
        (
            b'data:{"token":"a"}\n\n',
            "event 1: not what the API promises (Expected `object | null`, got `str` - at `$.token`)",
        ),
    ],
)
def test_what_is_no_answer_is_shown(decode, body, error):
    end = b'data:{"generated_text":""}\n\n' if body.startswith(b"data") else b""
    decoded = decode("tgi", body + end, content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("malformed", error)

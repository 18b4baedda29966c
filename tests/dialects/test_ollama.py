"""Ollama's two APIs: requests, and answers as the documentation has them.

https://github.com/ollama/ollama/blob/main/docs/api.md and https://docs.ollama.com/api
"""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.dialects import dialect
from pytest_llmserve.domain.errors import SetupError

LINES = "application/x-ndjson"
JSON = "application/json"
BOTH = ("ollama-generate", "ollama-chat")
every_api = pytest.mark.parametrize("api", BOTH)
SAID = {
    "ollama-generate": b'{"model":"llama3.2","created_at":"2023-08-04T08:52:19.385406455-07:00",'
    b'"response":"The","done":false}\n',
    "ollama-chat": b'{"model":"llama3.2","created_at":"2023-08-04T08:52:19.385406455-07:00",'
    b'"message":{"role":"assistant","content":"The","images":null},"done":false}\n',
}
LAST = (
    b'{"model":"llama3.2","created_at":"2023-08-04T19:22:45.499127Z","done":true,"total_duration":4883583458,'
    b'"load_duration":1334875,"prompt_eval_count":26,"prompt_eval_duration":342546000,"eval_count":282,'
    b'"eval_duration":4535599000}\n'
)


def sent(make_target, api, prompt, params=None, **fields):
    return dialect(api).encode(make_target(**{"model": "llama3.2", **fields}), prompt, params or {})


@pytest.mark.parametrize(
    ("path", "sent_to"),
    [
        ("", ""),
        ("/ollama", "/ollama"),
        ("/api/generate", ""),
        ("/api/chat", ""),
        ("/proxy/api/chat", "/proxy"),
    ],
)
def test_the_path_gets_what_it_lacks(make_target, path, sent_to):
    assert sent(make_target, "ollama-generate", "hi", path=path).path == f"{sent_to}/api/generate"
    assert sent(make_target, "ollama-chat", "hi", path=path).path == f"{sent_to}/api/chat"


@pytest.mark.parametrize("stream", [True, False])
def test_the_request_says_whether_to_stream_either_way(make_target, stream):
    """Left out, it means yes."""
    request = sent(make_target, "ollama-generate", "Why?", stream=stream)
    assert json.loads(request.body) == {"model": "llama3.2", "prompt": "Why?", "stream": stream}
    request = sent(make_target, "ollama-chat", "Why?", stream=stream)
    messages = [{"role": "user", "content": "Why?"}]
    assert json.loads(request.body) == {"model": "llama3.2", "messages": messages, "stream": stream}
    accepted = "application/x-ndjson, application/json" if stream else "application/json"
    assert ("Accept", accepted) in request.headers


@every_api
def test_its_own_parameters_go_along(make_target, api):
    params = {"options": {"num_predict": 8, "seed": 1}, "format": "json", "keep_alive": 0, "think": True}
    body = json.loads(sent(make_target, api, "Why?", params).body)
    assert {name: body[name] for name in params} == params


@every_api
def test_without_a_model_nothing_is_sent(make_target, api):
    with pytest.raises(SetupError) as caught:
        dialect(api).encode(make_target(), "Why?", {})
    assert str(caught.value) == (
        "Ollama wants the name of a model in each request, and none is known: give --llm-model NAME,"
        " one of those that `ollama list` tells"
    )


def test_generate_has_a_place_for_the_system_message_and_joins_the_others(make_target):
    """And takes the pictures of all of them along."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "No lists."},
        {"role": "user", "content": "What is it?", "images": ["aGk="]},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": [{"type": "text", "text": "And this?"}], "images": ["eW8="]},
    ]
    assert json.loads(sent(make_target, "ollama-generate", messages).body) == {
        "model": "llama3.2",
        "system": "Be brief.\nNo lists.",
        "prompt": "What is it?\nA cat.\nAnd this?",
        "images": ["aGk=", "eW8="],
        "stream": True,
    }


@every_api
def test_counts_come_from_the_last_line_and_its_durations_are_not_ours(decode, api):
    """Stamps are when lines arrive, whatever the server says it took."""
    decoded = decode(api, [SAID[api], SAID[api], LAST], content_type=LINES)
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", "TheThe", (1000, 1001))
    assert (decoded.output_tokens, decoded.tokens_from, decoded.finish_reason) == (282, "usage", None)


@every_api
def test_the_last_line_may_have_text(decode, api):
    """As https://docs.ollama.com/api/streaming has it; read together with those before as well."""
    lines = [SAID[api]] * 6 + [SAID[api].replace(b"false", b'true,"done_reason":"length"')]
    decoded = decode(api, lines, content_type=LINES)
    assert (decoded.outcome, decoded.text, decoded.finish_reason) == ("ok", "The" * 7, "length")


@every_api
def test_a_stream_without_done_was_cut(decode, api):
    decoded = decode(api, SAID[api], content_type=LINES)
    assert (decoded.outcome, decoded.error) == (
        "cut_off",
        "the stream ended without a finish_reason or an end mark, after 1 token chunk",
    )


@every_api
@pytest.mark.parametrize(
    "error",
    ['"model runner has unexpectedly stopped"', '{"message":"model runner has unexpectedly stopped"}'],
)
def test_an_error_in_a_line_is_the_servers(decode, api, error):
    """https://docs.ollama.com/api/errors: a stream that has begun keeps its status 200."""
    for done in ("", ',"done":true'):
        body = SAID[api] + f'{{"error":{error}{done}}}\n'.encode()
        decoded = decode(api, body, content_type=LINES)
        assert (decoded.outcome, decoded.error) == (
            "server_error_in_stream",
            "model runner has unexpectedly stopped",
        )
        assert decoded.text == "The"


@every_api
def test_a_refusal_is_told_in_ollamas_words(decode, api):
    decoded = decode(api, b'{"error":"model \'x\' not found"}', status=404, content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("http_4xx", "404: model 'x' not found")


@every_api
@pytest.mark.parametrize("reason", ["load", "unload"])
def test_a_model_that_was_only_loaded_has_not_answered(decode, api, reason):
    """A single object, streamed or not; it has the form of an answer."""
    place = b'"response":""' if api == "ollama-generate" else b'"message":{"role":"assistant","content":""}'
    body = b'{"model":"m",%s,"done_reason":"%s","done":true}' % (place, reason.encode())
    for kind in (LINES, JSON):
        decoded = decode(api, body, content_type=kind)
        assert (decoded.outcome, decoded.says_nothing) == ("malformed", True)
        assert decoded.error == (
            f"empty answer: status 200 with no text, reasoning or tool call, finish_reason {reason!r}"
        )


THOUGHT = {
    "ollama-generate": b'{"model":"m","response":"","thinking":"Hm","done":false}\n',
    "ollama-chat": b'{"message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}\n',
}


@every_api
def test_thinking_is_a_token_and_no_answer(decode, api):
    """https://docs.ollama.com/capabilities/thinking: TTFT counts from it."""
    decoded = decode(api, [THOUGHT[api], SAID[api], LAST], content_type=LINES)
    assert (decoded.text, decoded.token_ns) == ("The", (1000, 1001))
    whole = decode(api, THOUGHT[api].replace(b"false", b"true"), content_type=JSON)
    assert (whole.outcome, whole.text) == ("ok", "")


def test_a_tool_call_is_a_token(decode):
    """It comes whole, in a line of its own."""
    call = b'[{"function":{"name":"get_weather","arguments":{"city":"Tokyo"}}}]'
    line = b'{"message":{"role":"assistant","content":"","tool_calls":%s},"done":false}\n' % call
    decoded = decode("ollama-chat", [line, LAST], content_type=LINES)
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", "", (1000,))


@every_api
@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"id":"x"}', "no answer at response or message: the server sent the keys id"),
        (b"3", "not what the API promises (Expected `object`, got `int`)"),
        (
            b'{"response":["a"]}',
            "not what the API promises (Expected `str | null`, got `array` - at `$.response`)",
        ),
    ],
)
def test_what_is_no_answer_is_shown(decode, api, line, error):
    decoded = decode(api, line, content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("malformed", error)


def test_the_limit_of_an_answer_is_an_option():
    assert {api: dialect(api).limit_names for api in BOTH} == dict.fromkeys(BOTH, ("options.num_predict",))


@every_api
@pytest.mark.parametrize("content_type", [JSON, "text/plain", None])
def test_lines_are_known_whatever_they_are_called(decode, api, content_type):
    """Proxies call them JSON; each token at its own stamp, and a stream without its end is a cut."""
    lines = [SAID[api], SAID[api], LAST]
    decoded = decode(api, lines, content_type=content_type)
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", "TheThe", (1000, 1001))
    assert decode(api, b"".join(lines), content_type=content_type).text == "TheThe"
    assert decode(api, lines[:2], content_type=content_type).outcome == "cut_off"

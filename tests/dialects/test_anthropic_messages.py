"""Anthropic's messages: requests, and answers as its documentation has them.

https://docs.claude.com/en/api/messages and https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.dialects import dialect

JSON = "application/json"


def sent(make_target, prompt, params=None, **fields):
    request = dialect("anthropic-messages").encode(make_target(**fields), prompt, params or {})
    return request, json.loads(request.body)


def event(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def block(**delta):
    return event("content_block_delta", index=0, delta=delta)


def text(said):
    return block(type="text_delta", text=said)


START = event(
    "message_start",
    message={
        "id": "msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude-opus-4-6",
        "stop_reason": None,
        "usage": {"input_tokens": 25, "output_tokens": 1},
    },
)
STOP = event("message_stop")


@pytest.mark.parametrize(
    ("path", "sent_to"),
    [
        ("", "/v1/messages"),
        ("/v1", "/v1/messages"),
        ("/anthropic", "/anthropic/v1/messages"),
        ("/v1/messages", "/v1/messages"),
        ("/v1/chat/completions", "/v1/messages"),
    ],
)
def test_the_path_gets_what_it_lacks(make_target, path, sent_to):
    assert sent(make_target, "hi", path=path)[0].path == sent_to


@pytest.mark.parametrize("stream", [True, False])
def test_the_request_has_what_the_api_demands(make_target, stream):
    """A limit, which the user's own replaces, and the version of the API."""
    request, body = sent(make_target, "Hello", model="claude", stream=stream)
    asked = {"stream": True} if stream else {}
    messages = [{"role": "user", "content": "Hello"}]
    assert body == {"model": "claude", "max_tokens": 1024, "messages": messages, **asked}
    assert ("anthropic-version", "2023-06-01") in request.headers
    assert sent(make_target, "Hello", {"max_tokens": 5})[1]["max_tokens"] == 5


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ((), None),
        ((("Authorization", "Bearer sk-ant-1"),), "sk-ant-1"),
        ((("authorization", "bearer  sk-ant-1 "),), "sk-ant-1"),
        ((("Authorization", "Basic dXNlcg=="),), None),
        ((("Authorization", "Bearer"),), None),
    ],
)
def test_the_key_goes_under_the_name_this_api_has_for_it(make_target, headers, key):
    """Beside Authorization, which its gateways take; one given as x-api-key goes before it on the wire."""
    found = dict(sent(make_target, "hi", headers=headers)[0].headers)
    assert found.get("x-api-key") == key


def test_system_messages_have_a_field_of_their_own(make_target):
    prompt = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hi."}]},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "Who are you?"},
    ]
    body = sent(make_target, prompt)[1]
    assert body["system"] == "Be brief.\nBe kind."
    assert body["messages"] == [prompt[1], prompt[2], prompt[4]]
    assert sent(make_target, prompt, {"system": "Mine."})[1]["system"] == "Mine."


def test_counts_are_those_of_the_last_delta(decode):
    """The first event counts what is not yet said; a stream cut off has none of the server's."""
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    last = event("message_delta", delta=delta, usage={"output_tokens": 15})
    decoded = decode("anthropic-messages", [START, text("Hello"), text("!"), last, STOP])
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", "Hello!", (1001, 1002))
    assert (decoded.finish_reason, decoded.output_tokens, decoded.tokens_from) == ("end_turn", 15, "usage")
    cut = decode("anthropic-messages", [START, text("Hello"), text("!")])
    assert (cut.outcome, cut.output_tokens, cut.tokens_from) == ("cut_off", 2, "estimated")


def test_thinking_and_calls_are_tokens_and_a_signature_is_none(decode):
    call = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    frames = [
        START,
        event(
            "content_block_start",
            index=0,
            content_block={"type": "thinking", "thinking": "", "signature": ""},
        ),
        block(type="thinking_delta", thinking="I need to find the GCD"),
        block(type="signature_delta", signature="EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block=call),
        block(type="input_json_delta", partial_json=""),
        block(type="input_json_delta", partial_json='{"location":'),
        STOP,
    ]
    decoded = decode("anthropic-messages", frames)
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", "", (1002, 1005, 1007))


def test_an_error_event_is_told_in_the_servers_words(decode):
    """HTTP had said 200 already."""
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    for told in (error, error.partition(b"\n")[2]):
        decoded = decode("anthropic-messages", [START, text("Hello"), told])
        assert (decoded.outcome, decoded.error, decoded.text) == (
            "server_error_in_stream",
            "Overloaded",
            "Hello",
        )
    assert decode("anthropic-messages", b'data: {"type":"error"}\n\n').error == "no reason given"


def test_an_error_status_is_told_in_the_servers_words(decode):
    body = b'{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}'
    decoded = decode("anthropic-messages", body, status=404, content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("http_4xx", "404: model: claude-9")


def test_a_whole_answer_joins_its_texts(decode):
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "Eq"},
        {"type": "text", "text": "Hello", "citations": None},
        {"type": "text", "text": "!"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    ]
    usage = {"input_tokens": 12, "output_tokens": 6}
    for kept, said in ((content, "Hello!"), (content[:1], ""), (content[3:], "")):
        body = {"type": "message", "content": kept, "stop_reason": "tool_use", "usage": usage}
        decoded = decode("anthropic-messages", json.dumps(body).encode(), content_type=JSON)
        assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", said, 1)
        assert (decoded.finish_reason, decoded.output_tokens) == ("tool_use", 6)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"completion": "a"}', "no answer at content: the server sent the keys completion"),
        (
            '{"content": "a"}',
            "not what the API promises (Expected `array | null`, got `str` - at `$.content`)",
        ),
    ],
)
def test_a_body_that_is_no_answer_is_said(decode, body, error):
    decoded = decode("anthropic-messages", body.encode(), content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("malformed", error)


def test_events_of_other_types_say_nothing(decode):
    """As the API's versioning asks of clients."""
    odd = event("context_window_update", tokens=[1])
    decoded = decode("anthropic-messages", [START, odd, event("ping"), text("a"), odd, STOP])
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", "a", (1003,))

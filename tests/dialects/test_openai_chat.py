"""The chat dialect: its requests, and the traps of its streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_llmserve.dialects import dialect
from pytest_llmserve.domain.exchange import Decoded

Decode = Callable[..., Decoded]
JSON = "application/json"
END = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def stream(*deltas: str, end: str = END) -> bytes:
    chunks = [f'data: {{"choices":[{{"index":0,"delta":{delta}}}]}}\n\n' for delta in deltas]
    return ("".join(chunks) + end).encode()


@pytest.mark.parametrize(
    ("path", "sent_to"),
    [
        ("", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/api/v3", "/api/v3/chat/completions"),
        ("/proxy", "/proxy/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/openai/chat/completions", "/openai/chat/completions"),
        ("/v1/completions", "/v1/chat/completions"),
    ],
)
def test_the_path_gets_what_it_lacks(path: str, sent_to: str, make_target: Any) -> None:
    assert dialect("openai-chat").encode(make_target(path=path), "hi", {}).path == sent_to


def body_of(make_target: Any, prompt: Any = "hi", params: Any = None, **fields: Any) -> Any:
    request = dialect("openai-chat").encode(make_target(**fields), prompt, params or {})
    return json.loads(request.body)


def test_only_the_fields_every_server_knows_are_sent(make_target: Any) -> None:
    messages = [{"role": "user", "content": "hi"}]
    assert body_of(make_target, stream=False) == {"messages": messages}
    assert body_of(make_target) == {"messages": messages, "stream": True}
    assert body_of(make_target, stream=False, stream_usage=True, model="m") == {
        "model": "m",
        "messages": messages,
    }


def test_usage_is_asked_for_only_where_the_server_takes_it(make_target: Any) -> None:
    assert body_of(make_target, stream_usage=True)["stream_options"] == {"include_usage": True}


def test_messages_are_sent_as_they_are(make_target: Any) -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": [{"type": "text"}]}]
    assert body_of(make_target, messages)["messages"] == messages


def test_parameters_win_and_go_out_as_they_are(make_target: Any) -> None:
    body = body_of(make_target, params={"stream": False, "temperature": float("nan")}, model="m")
    assert body["stream"] is False
    assert body["temperature"] != body["temperature"]


def test_a_streamed_answer_is_asked_for_in_the_header(make_target: Any) -> None:
    streamed = dialect("openai-chat").encode(make_target(), "hi", {})
    plain = dialect("openai-chat").encode(make_target(stream=False), "hi", {})
    assert ("Accept", "text/event-stream, application/json") in streamed.headers
    assert ("Accept", "application/json") in plain.headers


@pytest.mark.parametrize(
    ("delta", "tokens", "text"),
    [
        ('{"role":"assistant","content":""}', 0, ""),
        ('{"role":"assistant","content":null}', 0, ""),
        ("{}", 0, ""),
        ("null", 0, ""),
        ('{"content":"a"}', 1, "a"),
        ('{"content":" "}', 1, " "),
        ('{"content":"several tokens in one"}', 1, "several tokens in one"),
        ('{"reasoning_content":"hm"}', 1, ""),
        ('{"reasoning":"hm","reasoning_content":"hm"}', 1, ""),
        ('{"refusal":"no"}', 1, ""),
        ('{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}', 1, ""),
        ('{"tool_calls":[{"index":0,"function":{"arguments":"{\\"x\\""}}]}', 1, ""),
        ('{"tool_calls":[{"index":0,"function":{"name":null,"arguments":""}},{"index":1}]}', 0, ""),
        ('{"function_call":{"name":"f"}}', 1, ""),
        ('{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}', 1, "ab"),
    ],
)
def test_a_chunk_counts_as_a_token_when_it_carries_something(
    delta: str, tokens: int, text: str, decode: Decode
) -> None:
    decoded = decode("openai-chat", stream(delta, '{"content":"z"}'))
    assert decoded.outcome == "ok"
    assert (len(decoded.token_ns), decoded.text) == (tokens + 1, text + "z")


def test_an_answer_of_reasoning_alone_is_not_empty(decode: Decode) -> None:
    decoded = decode("openai-chat", stream('{"reasoning_content":"hm"}'))
    assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", "", 1)


def test_each_piece_gives_its_stamp_to_the_chunks_it_completes(decode: Decode) -> None:
    whole = stream('{"content":"a"}', '{"content":"b"}', '{"content":"c"}')
    third = whole.index(b'"c"')
    assert decode("openai-chat", [whole[:third], whole[third:]]).token_ns == (1000, 1000, 1001)


USAGE = 'data: {"choices":[],"usage":%s}\n\n'


@pytest.mark.parametrize(
    ("usage", "count", "source"),
    [
        ([USAGE % '{"completion_tokens":7}'], 7, "usage"),
        ([USAGE % '{"completion_tokens":1}', USAGE % '{"completion_tokens":9}'], 9, "usage"),
        ([USAGE % '{"completion_tokens":9}', USAGE % "null"], 9, "usage"),
        ([USAGE % '{"completion_tokens":0,"prompt_tokens":0}'], 2, "estimated"),
        ([USAGE % '{"completion_tokens":-4}'], 2, "estimated"),
        ([USAGE % '{"completion_tokens":null}'], 2, "estimated"),
        ([USAGE % "null"], 2, "estimated"),
        ([], 2, "estimated"),
    ],
)
def test_tokens_are_the_servers_last_count_or_the_number_of_chunks(
    usage: list[str], count: int, source: str, decode: Decode
) -> None:
    body = stream('{"content":"a"}', '{"content":"b"}', end="".join(usage) + END)
    decoded = decode("openai-chat", body)
    assert (decoded.outcome, decoded.output_tokens, decoded.tokens_from) == ("ok", count, source)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ("", (None, None)),
        (',"usage":{"completion_tokens":0}', (None, None)),
        (',"usage":{"completion_tokens":3}', (3, "usage")),
    ],
)
def test_an_unstreamed_answer_without_a_count_has_none(
    usage: str, expected: tuple[Any, Any], decode: Decode
) -> None:
    body = ('{"choices":[{"message":{"content":"a b c"}}]%s}' % usage).encode()
    decoded = decode("openai-chat", body, content_type=JSON)
    assert (decoded.outcome, decoded.output_tokens, decoded.tokens_from) == ("ok", *expected)


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}',
        b'{"choices":[{"message":{"content":"","reasoning_content":"hm"}}]}',
        b'{"choices":[{"message":{"content":null,"refusal":"no"}}]}',
    ],
)
def test_an_unstreamed_answer_may_have_no_text(body: bytes, decode: Decode) -> None:
    decoded = decode("openai-chat", body, content_type=JSON)
    assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", "", 1)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            b'{"choices":[{"message":{"content":""},"finish_reason":"length"}]}',
            "empty answer: status 200 with no text, reasoning or tool call, finish_reason 'length'",
        ),
        (b'{"id":"x","text":"hi"}', "no answer at choices: the server sent the keys id, text"),
        (b'{"choices":[]}', "no answer at choices: the server sent the keys choices"),
        (b"[1,2]", "not what the API promises (Expected `object`, got `array`)"),
        (
            b'{"choices":[{"message":{"content":5}}]}',
            "not what the API promises"
            " (Expected `str | null`, got `int` - at `$.choices[0].message.content`)",
        ),
    ],
)
def test_a_body_without_an_answer_is_malformed(body: bytes, error: str, decode: Decode) -> None:
    decoded = decode("openai-chat", body, content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("malformed", error)


def test_a_stream_with_an_end_and_nothing_else_is_malformed(decode: Decode) -> None:
    decoded = decode("openai-chat", stream('{"role":"assistant","content":""}'))
    assert (decoded.outcome, decoded.error) == (
        "malformed",
        "empty answer: status 200 with no text, reasoning or tool call, finish_reason 'stop'",
    )


def test_wrong_types_in_an_event_are_malformed(decode: Decode) -> None:
    decoded = decode("openai-chat", stream('{"content":"a"}', '{"content":5}', '{"content":"b"}'))
    assert (decoded.outcome, decoded.error) == (
        "malformed",
        "event 2: not what the API promises"
        " (Expected `str | null`, got `int` - at `$.choices[0].delta.content`)",
    )
    assert decoded.text == "ab"


def test_a_body_of_the_older_error_shape_is_the_servers_error(decode: Decode) -> None:
    body = b'{"object":"error","message":"The model is overloaded","code":50001}'
    decoded = decode("openai-chat", body, content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("server_error_in_stream", "The model is overloaded")


def test_an_error_event_without_an_empty_line_behind_it_is_the_servers_error(decode: Decode) -> None:
    """LitServe ends its answer with it so, in the middle of a 200."""
    body = (
        b'data: {"error": {"message": "Internal Server Error", "type": "internal", "code": "internal_error"}}'
    )
    decoded = decode("openai-chat", body)
    assert (decoded.outcome, decoded.error) == ("server_error_in_stream", "Internal Server Error")


def test_a_finish_reason_of_error_is_the_servers_error(decode: Decode) -> None:
    end = END.replace('"stop"', '"error"')
    decoded = decode("openai-chat", stream('{"content":"a"}', end=end))
    assert (decoded.outcome, decoded.error) == (
        "server_error_in_stream",
        "the server gave finish_reason 'error'",
    )


def test_an_empty_error_field_beside_choices_says_nothing(decode: Decode) -> None:
    body = b'{"error":"","choices":[{"message":{"content":"a"}}]}'
    assert decode("openai-chat", body, content_type=JSON).outcome == "ok"


def test_of_several_choices_the_first_is_the_text_and_all_are_tokens(decode: Decode) -> None:
    body = b"".join(
        b'data: {"choices":[{"index":%d,"delta":{"content":"%s"}}]}\n\n' % (index, text)
        for index, text in ((0, b"a"), (1, b"x"), (0, b"b"))
    )
    decoded = decode("openai-chat", body + END.encode())
    assert (decoded.text, len(decoded.token_ns)) == ("ab", 3)


def test_a_different_id_in_each_chunk_does_not_matter(decode: Decode) -> None:
    body = b"".join(
        b'data: {"id":"chatcmpl-%d","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n' % k
        for k in range(3)
    )
    assert decode("openai-chat", body + END.encode()).text == "aaa"


def test_feed_returns_the_text_as_it_comes(make_target: Any) -> None:
    decoder = dialect("openai-chat").decoder(make_target(), 200, [("content-type", "text/event-stream")])
    whole = stream('{"content":"a"}', '{"content":"b"}', '{"reasoning":"c"}')
    assert [decoder.feed(1, line + b"\n\n") for line in whole.split(b"\n\n")[:3]] == ["a", "b", ""]

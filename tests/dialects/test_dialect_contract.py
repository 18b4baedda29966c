"""Promises that every dialect keeps. A new dialect adds its streams to RECORDED and its row to SPEAKERS."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from pytest_llmserve.dialects import DIALECTS, dialect
from pytest_llmserve.domain.exchange import (
    CLOSED_EARLY,
    COMPLETE,
    CONNECTION_RESET,
    NOT_HTTP,
    TIME_LIMIT,
    Decoded,
    Ending,
)
from pytest_llmserve.domain.outcome import OUTCOMES

SSE = "text/event-stream"
JSON = "application/json"


class Recorded(NamedTuple):
    """A body as a server sends it, and what it says."""

    api: str
    content_type: str
    body: bytes
    text: str
    chunks: int
    output_tokens: int | None
    tokens_from: str | None
    finish_reason: str | None


def events(*data: str, end: str = "\n\n", prefix: str = "data: ") -> bytes:
    return "".join(prefix + item + end for item in data).encode()


LLAMACPP_HEAD = (
    '"created":1795226322,"id":"chatcmpl-wy7CTi1K6XMCX5CCPxoGuK15kfT3yfTO","model":"smollm2-135m",'
    '"system_fingerprint":"b0-unknown","object":"chat.completion.chunk"'
)
LLAMACPP_CHAT = events(
    '{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],%s}'
    % LLAMACPP_HEAD,
    '{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"The"}}],%s}' % LLAMACPP_HEAD,
    '{"choices":[{"finish_reason":null,"index":0,"delta":{"content":" caf\u00e9"}}],%s}' % LLAMACPP_HEAD,
    '{"choices":[{"finish_reason":null,"index":0,"delta":{"content":" \U0001f600"}}],%s}' % LLAMACPP_HEAD,
    '{"choices":[{"finish_reason":"stop","index":0,"delta":{}}],%s}' % LLAMACPP_HEAD,
    '{"choices":[],%s,"usage":{"completion_tokens":4,"prompt_tokens":30,"total_tokens":34},'
    '"timings":{"prompt_n":1,"prompt_ms":116.617,"predicted_n":4,"predicted_ms":0.001}}' % LLAMACPP_HEAD,
    "[DONE]",
)
VLLM_HEAD = (
    '"id":"chatcmpl-8e2b5f21fedd9055","object":"chat.completion.chunk","created":1795229096,'
    '"model":"smollm2-135m"'
)
VLLM_CHAT = events(
    '{%s,"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,'
    '"finish_reason":null}],"prompt_token_ids":null}' % VLLM_HEAD,
    '{%s,"choices":[{"index":0,"delta":{"reasoning":"Well"},"logprobs":null,"finish_reason":null,'
    '"token_ids":null}]}' % VLLM_HEAD,
    '{%s,"choices":[{"index":0,"delta":{"content":"I\'m here\\n"},"logprobs":null,"finish_reason":null,'
    '"token_ids":null}]}' % VLLM_HEAD,
    '{%s,"choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"length",'
    '"stop_reason":null,"token_ids":null}]}' % VLLM_HEAD,
    "[DONE]",
)
TRANSFORMERS_HEAD = (
    '"created":1795230191,"model":"HF_FOLDER@main","object":"chat.completion.chunk","system_fingerprint":""'
)
TRANSFORMERS_CHAT = events(
    '{"id":"6db7","choices":[{"delta":{"role":"assistant"},"index":0}],%s}' % TRANSFORMERS_HEAD,
    '{"id":"6db7","choices":[{"delta":{"content":"Hello there"},"index":0}],%s}' % TRANSFORMERS_HEAD,
    '{"id":"6db7","choices":[{"delta":{"content":"!"},"index":0}],%s}' % TRANSFORMERS_HEAD,
    '{"id":"6db7","choices":[{"delta":{},"finish_reason":"stop","index":0}],%s,'
    '"usage":{"completion_tokens":8,"prompt_tokens":31,"total_tokens":39}}' % TRANSFORMERS_HEAD,
)
ODD_CHAT = (  # comments, CRLF, no space, an event name, several lines of data, line separators inside JSON
    b": keep-alive\r\n\r\n"
    b'event: message\r\ndata:{"choices":\r\ndata:[{"delta":{"content":"a\xe2\x80\xa8b\xc2\x85c"}}]}\r\n\r\n'
    b":\r\n\r\n"
    b'id: 7\r\nretry: 10\r\ndata:{"choices":[{"delta":{"content":"d"},"finish_reason":"stop"}]}\r\n\r\n'
    b"data:[DONE]\r\n\r\n"
)
CHAT_BODY = (
    b'{"choices":[{"finish_reason":"length","index":0,"message":{"role":"assistant","content":"Hello there"}}],'
    b'"created":1795226332,"model":"-","object":"chat.completion",'
    b'"usage":{"completion_tokens":2,"prompt_tokens":31,"total_tokens":33}}'
)
COMPLETIONS_HEAD = '"id":"cmpl-8ec197920f798691","object":"text_completion","created":1795229100'
COMPLETIONS_STREAM = events(
    '{%s,"choices":[{"index":0,"text":"Once","logprobs":null,"finish_reason":null}]}' % COMPLETIONS_HEAD,
    '{%s,"choices":[{"index":0,"text":" upon a","logprobs":null,"finish_reason":"length"}]}'
    % COMPLETIONS_HEAD,
    '{%s,"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":3}}' % COMPLETIONS_HEAD,
    "[DONE]",
)
COMPLETIONS_BODY = (
    b'{"id":"ee22f839","choices":[{"finish_reason":"stop","index":0,"text":"\\n"}],'
    b'"object":"text_completion","usage":{"completion_tokens":2,"prompt_tokens":3,"total_tokens":5}}'
)
OLLAMA_LINES = (
    b'{"model":"m","response":"The","done":false}\n'
    b'{"model":"m","response":" sky","done":false}\n'
    b'{"model":"m","response":"","done":true,"done_reason":"stop","eval_count":9}\n'
)
TGI_STREAM = events(
    '{"index":1,"token":{"id":1,"text":"Deep","special":false},"generated_text":null,"details":null}',
    '{"index":2,"token":{"id":2,"text":" \u2028end","special":false},"generated_text":"Deep \u2028end",'
    '"details":{"finish_reason":"length","generated_tokens":2}}',
)

RECORDED: dict[str, Recorded] = {
    "llama.cpp": Recorded("openai-chat", SSE, LLAMACPP_CHAT, "The caf\u00e9 \U0001f600", 3, 4, "usage", "stop"),
    "vLLM": Recorded("openai-chat", SSE, VLLM_CHAT, "I'm here\n", 2, 2, "estimated", "length"),
    "transformers": Recorded("openai-chat", SSE, TRANSFORMERS_CHAT, "Hello there!", 2, 8, "usage", "stop"),
    "odd": Recorded("openai-chat", SSE, ODD_CHAT, "a\u2028b\u0085cd", 2, 2, "estimated", "stop"),
    "chat body": Recorded("openai-chat", JSON, CHAT_BODY, "Hello there", 1, 2, "usage", "length"),
    "completions": Recorded(
        "openai-completions", SSE, COMPLETIONS_STREAM, "Once upon a", 2, 3, "usage", "length"
    ),
    "completions body": Recorded("openai-completions", JSON, COMPLETIONS_BODY, "\n", 1, 2, "usage", "stop"),
    "json body": Recorded("json", JSON, '{"response": "gr\u00fcn"}'.encode(), "gr\u00fcn", 1, None, None, None),
    "json lines": Recorded("json", "application/x-ndjson", OLLAMA_LINES, "The sky", 2, 9, "usage", "stop"),
    "json events": Recorded("json", SSE, TGI_STREAM, "Deep \u2028end", 2, 2, "usage", "length"),
}
SPEAKERS = {recorded.api: recorded for recorded in RECORDED.values() if recorded.content_type == SSE}
BODIES = {recorded.api: recorded for recorded in RECORDED.values() if recorded.content_type == JSON}

Decode = Callable[..., Decoded]
every_recorded = pytest.mark.parametrize("recorded", RECORDED.values(), ids=RECORDED)
every_api = pytest.mark.parametrize("api", DIALECTS)


def essence(decoded: Decoded) -> tuple[Any, ...]:
    """Everything but the stamps, which tell where the cuts were."""
    return (
        decoded.outcome,
        decoded.error,
        decoded.text,
        len(decoded.token_ns),
        decoded.output_tokens,
        decoded.tokens_from,
        decoded.finish_reason,
    )


def expected(recorded: Recorded) -> tuple[Any, ...]:
    return ("ok", None, *recorded[3:])


def test_every_dialect_is_in_this_suite() -> None:
    assert set(SPEAKERS) == set(BODIES) == set(DIALECTS)


@every_recorded
def test_an_answer_in_one_piece_is_understood(recorded: Recorded, decode: Decode) -> None:
    decoded = decode(recorded.api, recorded.body, content_type=recorded.content_type)
    assert essence(decoded) == expected(recorded)


@every_recorded
def test_an_answer_cut_at_any_byte_is_the_same_answer(recorded: Recorded, decode: Decode) -> None:
    body = recorded.body
    for cut in range(len(body) + 1):
        decoded = decode(recorded.api, [body[:cut], body[cut:]], content_type=recorded.content_type)
        assert essence(decoded) == expected(recorded), f"cut at byte {cut}"


@every_recorded
def test_an_answer_byte_by_byte_is_the_same_answer(recorded: Recorded, decode: Decode) -> None:
    pieces = [recorded.body[k : k + 1] for k in range(len(recorded.body))]
    decoded = decode(recorded.api, pieces, content_type=recorded.content_type)
    assert essence(decoded) == expected(recorded)
    assert list(decoded.token_ns) == sorted(decoded.token_ns)


@every_recorded
@pytest.mark.parametrize("content_type", [None, "text/plain; charset=utf-8", "application/json"])
def test_a_wrong_or_missing_content_type_is_seen_through(
    recorded: Recorded, content_type: str | None, decode: Decode
) -> None:
    if recorded.content_type == "application/x-ndjson":
        pytest.skip("JSON lines are known by their type alone")
    for size in (1, len(recorded.body)):
        pieces = [recorded.body[k : k + size] for k in range(0, len(recorded.body), size)]
        decoded = decode(recorded.api, pieces, content_type=content_type)
        assert essence(decoded) == expected(recorded)


@every_recorded
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "raw deflate"])
def test_a_compressed_answer_is_the_same_answer(recorded: Recorded, encoding: str, decode: Decode) -> None:
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(recorded.body),
        "x-gzip": gzip.compress(recorded.body[:9]) + gzip.compress(recorded.body[9:]) + b"\0\0",
        "deflate": zlib.compress(recorded.body),
        "raw deflate": raw.compress(recorded.body) + raw.flush(),
    }[encoding]
    headers = [("content-encoding", encoding.removeprefix("raw "))]
    for size in (1, len(packed)):
        pieces = [packed[k : k + size] for k in range(0, len(packed), size)]
        decoded = decode(recorded.api, pieces, content_type=recorded.content_type, headers=headers)
        assert essence(decoded) == expected(recorded)


@every_recorded
def test_a_connection_closed_at_any_byte_is_never_a_full_answer(recorded: Recorded, decode: Decode) -> None:
    for cut in range(len(recorded.body) + 1):
        decoded = decode(
            recorded.api, recorded.body[:cut], content_type=recorded.content_type, ending=CLOSED_EARLY
        )
        assert decoded.outcome == ("cut_off" if cut else "reset"), f"cut at byte {cut}: {decoded.error}"
        assert recorded.text.startswith(decoded.text)


@every_recorded
def test_one_piece_bears_one_stamp(recorded: Recorded, decode: Decode) -> None:
    decoded = decode(recorded.api, recorded.body, content_type=recorded.content_type)
    assert decoded.token_ns == (1000,) * recorded.chunks


@every_api
def test_an_unstreamed_answer_bears_the_stamp_of_its_last_byte(api: str, decode: Decode) -> None:
    body = BODIES[api].body
    assert decode(api, [body[:5], body[5:9], body[9:]], content_type=JSON).token_ns == (1002,)


@every_api
def test_a_reset_before_the_answer_began_is_a_reset(api: str, decode: Decode) -> None:
    ending = Ending(CONNECTION_RESET, "ECONNRESET")
    decoded = decode(api, [], ending=ending)
    assert (decoded.outcome, decoded.error) == (
        "reset",
        "the connection was reset before the answer began: ECONNRESET",
    )
    assert decode(api, [], status=0, content_type=None, ending=ending).outcome == "reset"


@every_api
def test_a_reset_in_the_middle_is_a_cut(api: str, decode: Decode) -> None:
    stream = SPEAKERS[api].body
    decoded = decode(api, stream[: stream.index(b"\n\n") + 9], ending=CONNECTION_RESET)
    assert decoded.outcome == "cut_off"
    assert decoded.error is not None
    assert decoded.error.startswith("the connection was reset in the middle of the answer, after ")


@every_api
def test_a_close_behind_the_end_mark_is_still_a_cut(api: str, decode: Decode) -> None:
    decoded = decode(api, SPEAKERS[api].body, ending=Ending(CLOSED_EARLY, "the server closed the connection"))
    assert decoded.outcome == "cut_off"
    assert decoded.error is not None
    assert decoded.error.startswith("the connection was closed behind the end mark, before the body's end, ")
    assert decoded.error.endswith(": the server closed the connection")


@every_api
def test_time_that_ran_out_is_told_with_what_had_come(api: str, decode: Decode) -> None:
    recorded = SPEAKERS[api]
    decoded = decode(api, recorded.body, ending=Ending(TIME_LIMIT, "30 s"))
    chunks = f"after {recorded.chunks} token chunks"
    assert (decoded.outcome, decoded.error) == (
        "timed_out",
        f"no full answer within the time limit, {chunks}: 30 s",
    )
    assert decoded.text == recorded.text
    before = decode(api, [], status=0, content_type=None, ending=TIME_LIMIT)
    assert (before.outcome, before.error) == (
        "timed_out",
        "no full answer within the time limit, before any answer",
    )


@every_api
def test_what_is_not_http_is_malformed(api: str, decode: Decode) -> None:
    decoded = decode(api, [], ending=Ending(NOT_HTTP, "not HTTP: b'SSH-2.0'"), status=0)
    assert (decoded.outcome, decoded.error) == (
        "malformed",
        "the answer is not HTTP: not HTTP: b'SSH-2.0'",
    )


@every_api
@pytest.mark.parametrize(
    ("status", "body", "outcome", "error"),
    [
        (400, b'{"error":{"code":400,"message":"\'messages\' is required"}}', "http_4xx", "'messages' is required"),
        (429, b'{"error": "slow\\n down"}', "http_4xx", "slow down"),
        (405, b'{"detail":"Method Not Allowed"}', "http_4xx", "Method Not Allowed"),
        (500, b"Internal Server Error", "http_5xx", "Internal Server Error"),
        (502, b"<html><head><title>502 Bad Gateway</title>", "http_5xx", "502 Bad Gateway"),
        (503, b"", "http_5xx", "no body"),
    ],
)
def test_an_error_status_gives_its_reason_in_one_line(
    api: str, status: int, body: bytes, outcome: str, error: str, decode: Decode
) -> None:
    for pieces in ([body], [body[k : k + 1] for k in range(len(body))]):
        decoded = decode(api, pieces, status=status, content_type="text/plain")
        assert (decoded.outcome, decoded.error) == (outcome, f"{status}: {error}")
        assert (decoded.text, decoded.token_ns, decoded.output_tokens) == ("", (), None)


@every_api
def test_an_error_status_stays_one_when_its_body_is_cut(api: str, decode: Decode) -> None:
    decoded = decode(api, b"Interna", status=500, ending=Ending(CONNECTION_RESET, "ECONNRESET"))
    assert (decoded.outcome, decoded.error) == ("http_5xx", "500: Interna (ECONNRESET)")


@every_api
def test_an_error_status_may_be_compressed(api: str, decode: Decode) -> None:
    packed = gzip.compress(b'{"detail": "busy"}')
    assert decode(api, packed, status=503, headers=[("content-encoding", "gzip")]).error == "503: busy"
    odd = decode(api, b"\x28\xb5", status=503, headers=[("content-encoding", "zstd")])
    assert odd.outcome == "http_5xx"
    assert odd.error is not None
    assert odd.error.startswith("503: the answer is compressed with 'zstd'")
    broken = decode(api, b"not gzip", status=500, headers=[("content-encoding", "gzip")])
    assert broken.error is not None
    assert broken.error.startswith("500: the body is not valid gzip")


@every_api
def test_an_endless_error_page_does_not_fill_memory(api: str, decode: Decode) -> None:
    decoded = decode(api, [b"x" * 40_000] * 50, status=500)
    assert decoded.error == "500: " + "x" * 197 + "..."


@every_api
def test_a_redirect_names_the_place_to_give(api: str, decode: Decode) -> None:
    decoded = decode(api, b"moved", status=307, headers=[("location", "http://other/v1")])
    assert (decoded.outcome, decoded.error) == (
        "malformed",
        "redirect 307 to http://other/v1: give the final URL as the endpoint",
    )


@every_api
@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_a_compression_we_do_not_know_is_said(api: str, encoding: str, decode: Decode) -> None:
    decoded = decode(api, b"\x8b\x02\x80", headers=[("content-encoding", encoding)])
    assert (decoded.outcome, decoded.error) == (
        "malformed",
        f"the answer is compressed with {encoding!r}, which was not asked for and cannot be read:"
        " switch compression off in the server or proxy for this path",
    )


@every_api
def test_bytes_that_are_not_the_compression_they_claim_are_malformed(api: str, decode: Decode) -> None:
    decoded = decode(api, SPEAKERS[api].body, headers=[("content-encoding", "gzip")])
    assert decoded.outcome == "malformed"
    assert decoded.error == (
        "the body is not valid gzip (Error -3 while decompressing data: incorrect header check)"
    )


@every_api
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_data_that_ends_early_is_a_cut(api: str, encoding: str, decode: Decode) -> None:
    body = SPEAKERS[api].body
    packed = (gzip.compress(body) if encoding == "gzip" else zlib.compress(body))[:-3]
    decoded = decode(api, packed, headers=[("content-encoding", encoding)])
    assert (decoded.outcome, decoded.error) == ("cut_off", f"the {encoding} data ended early")


@every_api
def test_a_web_page_is_not_an_answer(api: str, decode: Decode) -> None:
    page = b"<!doctype html>" + b"<p>hello</p>" * 60
    for size in (1, 100, len(page)):
        pieces = [page[k : k + size] for k in range(0, len(page), size)]
        decoded = decode(api, pieces, content_type="text/html; charset=utf-8")
        assert (decoded.outcome, decoded.error) == (
            "malformed",
            f"neither an event stream nor JSON (text/html; charset=utf-8): {page[:80].decode()!r}...",
        )


@every_api
@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_a_200_without_a_body_is_not_an_answer(api: str, body: bytes, decode: Decode) -> None:
    decoded = decode(api, body, content_type=JSON)
    what = "no text, reasoning or tool call" if body else "no body"
    assert (decoded.outcome, decoded.error) == ("malformed", f"empty answer: status 200 with {what}")


@every_api
def test_an_event_stream_without_events_is_not_an_answer(api: str, decode: Decode) -> None:
    decoded = decode(api, b": ping\n\n: ping\n\ndata:\n\n")
    assert (decoded.outcome, decoded.error) == (
        "malformed",
        "empty answer: an event stream without any event",
    )


@every_api
def test_an_error_inside_a_200_is_the_servers_error(api: str, decode: Decode) -> None:
    first = SPEAKERS[api].body.partition(b"\n\n")[0] + b"\n\n"
    for error in (
        b'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n',
        b'data: {"error": "CUDA out of memory"}\n\n',
        b'event: error\ndata: {"message": "CUDA out of memory"}\n\n',
        b"event: error\ndata: CUDA out of memory\n\n",
    ):
        for ending in (COMPLETE, CLOSED_EARLY, CONNECTION_RESET):
            decoded = decode(api, first + error, ending=ending)
            assert (decoded.outcome, decoded.error) == ("server_error_in_stream", "CUDA out of memory")
    body = decode(api, b'{"error": {"message": "CUDA out of memory"}}', content_type=JSON)
    assert (body.outcome, body.error) == ("server_error_in_stream", "CUDA out of memory")


@every_api
def test_an_error_event_without_a_reason_is_an_error_all_the_same(api: str, decode: Decode) -> None:
    decoded = decode(api, b"event: error\ndata: null\n\n")
    assert (decoded.outcome, decoded.error) == ("server_error_in_stream", "no reason given")


@every_api
def test_a_broken_event_is_shown(api: str, decode: Decode) -> None:
    body = SPEAKERS[api].body
    decoded = decode(api, b"data: {nonsense\n\n" + body)
    assert decoded.outcome == "malformed"
    assert decoded.error is not None
    assert decoded.error.startswith("event 1: not valid JSON (")
    assert decoded.error.endswith("): '{nonsense'")
    assert len(decoded.token_ns) == SPEAKERS[api].chunks, "tokens behind a broken event are kept"


@every_api
@pytest.mark.parametrize("body", [b"{", b'{"a": 1} trailing', b'{"a": "\xff"}', b'{"choices": [NaN]}'])
def test_a_body_that_is_not_json_is_shown(api: str, body: bytes, decode: Decode) -> None:
    decoded = decode(api, body, content_type=JSON)
    assert decoded.outcome == "malformed"
    assert decoded.error is not None
    assert decoded.error.startswith("not valid JSON (")


@every_api
@pytest.mark.parametrize("opening", [b"[", b'{"choices":', b'{"a":[', b'{"error":['])
def test_json_nested_too_deep_is_malformed_not_a_crash(api: str, opening: bytes, decode: Decode) -> None:
    deep = opening * 100_000
    body = decode(api, deep, content_type=JSON)
    assert body.outcome == "malformed"
    event = decode(api, b"data: " + deep + b"\n\n")
    assert event.outcome == "malformed"
    refused = decode(api, deep, status=500)
    assert refused.outcome == "http_5xx"


@every_api
def test_the_last_event_may_lack_its_blank_line(api: str, decode: Decode) -> None:
    recorded = SPEAKERS[api]
    for lost in (1, 2):
        assert essence(decode(api, recorded.body[:-lost])) == expected(recorded)


@every_api
def test_a_stream_that_ends_inside_an_event_was_cut(api: str, decode: Decode) -> None:
    recorded = SPEAKERS[api]
    decoded = decode(api, recorded.body + b'data: {"choices": [{"te')
    if recorded.body.endswith(b"[DONE]\n\n"):
        assert decoded.outcome == "ok", "nothing behind the end mark counts"
    else:
        assert (decoded.outcome, decoded.error) == (
            "cut_off",
            "the stream ended inside an event: '{\"choices\": [{\"te'",
        )


@every_api
def test_a_request_is_json_with_the_users_parameters_on_top(api: str, make_target: Any) -> None:
    request = dialect(api).encode(make_target(model="m"), "hi", {"max_tokens": 5, "stop": ["\n"]})
    body = json.loads(request.body)
    assert request.method == "POST"
    assert (body["max_tokens"], body["stop"]) == (5, ["\n"])
    assert ("Content-Type", "application/json") in request.headers


@every_api
@pytest.mark.parametrize("prompt", ["a\ud800b", '"}{\\', "\x00\u2028", "{model}{prompt}", ""])
def test_any_prompt_arrives_as_it_was(api: str, prompt: str, make_target: Any) -> None:
    request = dialect(api).encode(make_target(), prompt, {})
    body = json.loads(request.body.decode("utf-8", "strict"))
    assert prompt in (body.get("prompt"), (body.get("messages") or [{}])[0].get("content"))


@every_api
def test_a_parameter_that_is_no_json_value_is_the_users_fault(api: str, make_target: Any) -> None:
    from pytest_llmserve.domain.errors import SetupError

    with pytest.raises(SetupError) as caught:
        dialect(api).encode(make_target(), "hi", {"stop": {1, 2}})
    assert str(caught.value) == (
        "the request cannot be written as JSON: Object of type set is not JSON serializable"
    )


def test_the_outcomes_used_here_are_the_domains() -> None:
    used = {"ok", "cut_off", "reset", "timed_out", "malformed", "server_error_in_stream", "http_4xx", "http_5xx"}
    assert used <= set(OUTCOMES)

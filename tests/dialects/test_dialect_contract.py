"""Promises that every dialect keeps, whatever the server does. A new dialect adds its row to speakers.py."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from speakers import OUT_OF_MEMORY, SPEAKERS

from pytest_llmserve.dialects import DIALECTS, dialect
from pytest_llmserve.dialects.json_generic import at
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import (
    CLOSED_EARLY,
    COMPLETE,
    CONNECTION_RESET,
    NOT_HTTP,
    TIME_LIMIT,
    Decoded,
    Ending,
)

JSON = "application/json"


Decode = Callable[..., Decoded]
every_api = pytest.mark.parametrize("api", DIALECTS)


def stream(decode: Decode, api: str, body: bytes | list[bytes], **how: Any) -> Decoded:
    """Decode a stream of the API's form, or with another Content-Type."""
    return decode(api, body, **{"content_type": SPEAKERS[api].content_type, **SPEAKERS[api].target, **how})


def whole(decode: Decode, api: str, body: bytes | list[bytes], **how: Any) -> Decoded:
    """Decode a body that is no stream."""
    return stream(decode, api, body, **{"content_type": JSON, "stream": False, **how})


@every_api
def test_the_plain_case_is_understood(api: str, decode: Decode) -> None:
    said = (stream(decode, api, SPEAKERS[api].stream), whole(decode, api, SPEAKERS[api].body))
    for decoded, chunks in zip(said, (2, 1), strict=True):
        assert (decoded.outcome, decoded.error, decoded.text) == ("ok", None, "one two")
        assert len(decoded.token_ns) == chunks


@every_api
def test_an_unstreamed_answer_bears_the_stamp_of_its_last_byte(api: str, decode: Decode) -> None:
    body = SPEAKERS[api].body
    assert whole(decode, api, [body[:5], body[5:9], body[9:]]).token_ns == (1002,)


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
    speaker = SPEAKERS[api]
    decoded = stream(decode, api, speaker.stream[: len(speaker.first) + 9], ending=CONNECTION_RESET)
    assert decoded.outcome == "cut_off"
    assert decoded.error is not None
    assert decoded.error.startswith("the connection was reset in the middle of the answer, after ")


@every_api
def test_a_close_behind_the_end_mark_is_still_a_cut(api: str, decode: Decode) -> None:
    ending = Ending(CLOSED_EARLY, "the server closed the connection")
    decoded = stream(decode, api, SPEAKERS[api].stream, ending=ending)
    assert decoded.outcome == "cut_off"
    assert decoded.error is not None
    assert decoded.error.startswith("the connection was closed behind the end mark, before the body's end, ")
    assert decoded.error.endswith(": the server closed the connection")


@every_api
def test_time_that_ran_out_is_told_with_what_had_come(api: str, decode: Decode) -> None:
    decoded = stream(decode, api, SPEAKERS[api].stream, ending=Ending(TIME_LIMIT, "30 s"))
    assert (decoded.outcome, decoded.error) == (
        "timed_out",
        "no full answer within the time limit, after 2 token chunks: 30 s",
    )
    assert decoded.text == "one two"
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
        "not HTTP: b'SSH-2.0'",
    )


@every_api
@pytest.mark.parametrize(
    ("status", "body", "outcome", "error"),
    [
        (400, b'{"error":{"code":400,"message":"no \'messages\'"}}', "http_4xx", "no 'messages'"),
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
    odd = decode(api, b"\x28\xb5", status=503, headers=[("content-encoding", "lzw")])
    assert odd.outcome == "http_5xx"
    assert odd.error is not None
    assert odd.error.startswith("503: the answer is compressed with 'lzw'")
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
@pytest.mark.parametrize("encoding", ["lzw", "compress", "gzip, gzip, gzip, gzip"])
def test_a_compression_we_do_not_know_is_said(api: str, encoding: str, decode: Decode) -> None:
    decoded = decode(api, b"\x8b\x02\x80", headers=[("content-encoding", encoding)])
    assert (decoded.outcome, decoded.error) == (
        "malformed",
        f"the answer is compressed with {encoding!r}, which was not asked for and cannot be read:"
        " switch compression off in the server or proxy for this path",
    )


@every_api
def test_codings_in_several_headers_are_one_list(api: str, decode: Decode) -> None:
    packed = gzip.compress(gzip.compress(SPEAKERS[api].stream))
    twice = stream(decode, api, packed, headers=[("content-encoding", "gzip")] * 2)
    assert twice == stream(decode, api, SPEAKERS[api].stream)


@every_api
def test_bytes_that_are_not_the_compression_they_claim_are_malformed(api: str, decode: Decode) -> None:
    decoded = stream(decode, api, SPEAKERS[api].stream, headers=[("content-encoding", "gzip")])
    assert decoded.outcome == "malformed"
    assert decoded.error == (
        "the body is not valid gzip (Error -3 while decompressing data: incorrect header check)"
    )


@every_api
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_data_that_ends_early_is_a_cut(api: str, encoding: str, decode: Decode) -> None:
    body = SPEAKERS[api].stream
    packed = (gzip.compress(body) if encoding == "gzip" else zlib.compress(body))[:-3]
    decoded = stream(decode, api, packed, headers=[("content-encoding", encoding)])
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
    decoded = whole(decode, api, body)
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
    speaker = SPEAKERS[api]
    for error in speaker.errors:
        for ending in (COMPLETE, CLOSED_EARLY, CONNECTION_RESET):
            for before in (b"", speaker.first):
                decoded = stream(decode, api, before + error, ending=ending)
                assert (decoded.outcome, decoded.error) == ("server_error_in_stream", OUT_OF_MEMORY), error
    body = whole(decode, api, speaker.error_body)
    assert (body.outcome, body.error) == ("server_error_in_stream", OUT_OF_MEMORY)


@every_api
@pytest.mark.parametrize("field", ["error_message", "exception", "errors", "detail"])
def test_an_error_of_another_form_is_one_though_tokens_came(api: str, field: str, decode: Decode) -> None:
    """As the frameworks around a server write it, and an end mark behind it makes it no good answer."""
    speaker = SPEAKERS[api]
    said = [{"message": OUT_OF_MEMORY}] if field == "errors" else OUT_OF_MEMORY
    frame = speaker.frame(json.dumps({field: said}).encode())
    for first in (speaker.first, speaker.first * 6):
        decoded = stream(decode, api, [first, frame, speaker.end])
        assert (decoded.outcome, decoded.error) == ("server_error_in_stream", OUT_OF_MEMORY)


@pytest.mark.parametrize("api", ["kserve", "tgi", "openai-responses", "anthropic-messages"])
def test_a_frame_with_nothing_but_a_message_is_an_error(api: str, decode: Decode) -> None:
    """Where every frame has a field or a type of the API."""
    speaker = SPEAKERS[api]
    frame = speaker.frame(b'{"message": "CUDA out of memory", "code": 500}')
    for body in (speaker.first + frame + speaker.end, [*speaker.pieces[:1] * 6, frame, speaker.end]):
        decoded = stream(decode, api, body)
        assert (decoded.outcome, decoded.error) == ("server_error_in_stream", OUT_OF_MEMORY)


@every_api
def test_an_error_event_without_a_reason_is_an_error_all_the_same(api: str, decode: Decode) -> None:
    decoded = decode(api, b"event: error\ndata: null\n\n")
    assert (decoded.outcome, decoded.error) == ("server_error_in_stream", SPEAKERS[api].no_reason)


@every_api
def test_a_broken_event_is_shown(api: str, decode: Decode) -> None:
    speaker = SPEAKERS[api]
    decoded = stream(decode, api, speaker.frame(b"{nonsense") + speaker.stream)
    assert decoded.outcome == "malformed"
    assert decoded.error is not None
    assert decoded.error.startswith("event 1: not valid JSON (")
    assert decoded.error.endswith("): '{nonsense'")
    assert len(decoded.token_ns) == 2, "tokens behind a broken event are kept"


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
def test_the_last_event_may_lack_its_end(api: str, decode: Decode) -> None:
    speaker = SPEAKERS[api]
    for lost in range(1, len(speaker.frame_end) + 1):
        decoded = stream(decode, api, speaker.stream[:-lost])
        assert (decoded.outcome, decoded.text) == ("ok", "one two")


@every_api
def test_a_stream_that_ends_inside_an_event_was_cut(api: str, decode: Decode) -> None:
    speaker = SPEAKERS[api]
    half = b'{"choices": [{"te'
    decoded = stream(decode, api, speaker.stream.removesuffix(speaker.end) + speaker.data + half)
    assert (decoded.outcome, decoded.error) == (
        "cut_off",
        f"the stream ended inside an event: {half.decode()!r}",
    )
    behind_the_mark = speaker.stream + speaker.frame(b"[DONE]") + speaker.data + half
    assert stream(decode, api, behind_the_mark).outcome == "ok"


@every_api
def test_a_stream_without_any_end_mark_was_cut(api: str, decode: Decode) -> None:
    speaker = SPEAKERS[api]
    decoded = stream(decode, api, speaker.first)
    assert (decoded.outcome, decoded.error, decoded.text) == (
        "cut_off",
        "the stream ended without a finish_reason or an end mark, after 1 token chunk",
        "one ",
    )
    assert stream(decode, api, speaker.first + speaker.end).outcome == "ok", "an end mark alone is enough"


def encoded(api: str, make_target: Any, prompt: Any, params: Any = None, **fields: Any) -> Any:
    """The body of a request."""
    target = make_target(**{"model": "m", **SPEAKERS[api].target, **fields})
    request = dialect(api).encode(target, prompt, params or {})
    assert request.method == "POST"
    assert request.path.startswith("/")
    assert ("Content-Type", "application/json") in request.headers
    return json.loads(request.body.decode("utf-8", "strict"))


@every_api
def test_a_request_is_json_with_the_users_parameters_on_top(api: str, make_target: Any) -> None:
    """As they are, and before what the dialect itself would say."""
    params = {"max_tokens": 5, "stop": ["\n"], "options": {"a": [None, 1.5]}, "stream": "mine"}
    body = encoded(api, make_target, "hi", params)
    assert {name: body[name] for name in params} == params


@every_api
def test_a_stream_is_asked_for_when_one_is_wanted(api: str, make_target: Any) -> None:
    for wanted, said in zip((True, False), SPEAKERS[api].asks_stream, strict=True):
        assert encoded(api, make_target, "hi", stream=wanted).get("stream") is said


@every_api
@pytest.mark.parametrize(
    "prompt", ["a\ud800b", '"}{\\', "\x00\u2028\x85", "{model}{prompt}", "", "\ufeff\u202e"]
)
def test_any_prompt_arrives_as_it_was(api: str, prompt: str, make_target: Any) -> None:
    assert at(encoded(api, make_target, prompt), SPEAKERS[api].prompt_at) == prompt


@every_api
def test_chat_messages_arrive_each_of_them(api: str, make_target: Any) -> None:
    """System prompt and history, wherever the API has a place for them; the list itself is not changed."""
    said = [
        ("system", "be brief"),
        ("user", "first?"),
        ("assistant", "yes"),
        ("user", [{"type": "text", "text": "so"}]),
    ]
    prompt = [{"role": role, "content": content} for role, content in said]
    before = json.dumps(prompt)
    body = encoded(api, make_target, prompt)
    assert json.dumps(prompt) == before
    written = json.dumps(body)
    places = [written.find(text) for text in ("first?", "yes", "so")]
    assert -1 not in places
    assert places == sorted(places)
    system_at = SPEAKERS[api].system_at
    found = at(body, system_at or SPEAKERS[api].prompt_at)
    assert found == "be brief" if system_at else found.startswith("be brief\n")
    assert written.count("be brief") == 1


@every_api
def test_a_parameter_that_is_no_json_value_is_the_users_fault(api: str, make_target: Any) -> None:
    with pytest.raises(SetupError) as caught:
        encoded(api, make_target, "hi", {"stop": {1, 2}})
    assert str(caught.value) == (
        "the request cannot be written as JSON: Object of type set is not JSON serializable"
    )

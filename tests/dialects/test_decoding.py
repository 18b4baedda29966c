"""What the shared decoder does at the edges of a body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_llmserve.dialects import DIALECTS, dialect
from pytest_llmserve.domain.exchange import CLOSED_EARLY, COMPLETE, Decoded, Ending

Decode = Callable[..., Decoded]
JSON = "application/json"
OPENAI = ("openai-chat", "openai-completions")
FIRST = {
    "openai-chat": b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
    "openai-completions": b'data: {"choices":[{"text":"a"}]}\n\n',
    "ollama-generate": b'data: {"response":"a","done":true}\n\n',
    "ollama-chat": b'data: {"message":{"content":"a"},"done":true}\n\n',
    "tgi": b'data: {"token":{"text":"a"},"generated_text":"a"}\n\n',
    "kserve": b'data: {"text_output":"a"}\n\n',
    "openai-responses": b'data: {"type":"response.output_text.delta","delta":"a"}\n\n'
    b'data: {"type":"response.completed"}\n\n',
    "anthropic-messages": b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}\n\n'
    b'data: {"type":"message_stop"}\n\n',
    "gradio": b'event: complete\ndata: ["a"]\n\n',
    "json": b'data: {"text":"a"}\n\n',
}
every_api = pytest.mark.parametrize("api", DIALECTS)


@every_api
@pytest.mark.parametrize("size", [1, 1000])
def test_an_error_event_counts_without_its_blank_line(api: str, size: int, decode: Decode) -> None:
    """A server that dies sends its reason and no more; the reason is worth more than the cut."""
    for last in (b"event: error\ndata: out of memory", b'event: error\ndata: {"message":"out of memory"}\n'):
        body = FIRST[api] + last
        pieces = [body[k : k + size] for k in range(0, len(body), size)]
        for ending in (COMPLETE, CLOSED_EARLY):
            decoded = decode(api, pieces, ending=ending)
            assert (decoded.outcome, decoded.error) == ("server_error_in_stream", "out of memory")


@pytest.mark.parametrize("api", OPENAI)
@pytest.mark.parametrize("before", [0, 1])
def test_an_error_of_the_older_shape_in_a_stream_is_not_passed_over(
    api: str, before: int, decode: Decode
) -> None:
    """FastChat's error events: with the end mark behind them the stream looks whole."""
    error = b'data: {"object":"error","message":"CUDA out of memory","code":50002}\n\n'
    decoded = decode(api, FIRST[api] * before + error + b"data: [DONE]\n\n")
    assert (decoded.outcome, decoded.error) == ("server_error_in_stream", "CUDA out of memory")
    assert len(decoded.token_ns) == before


@pytest.mark.parametrize("api", OPENAI)
def test_an_event_without_choices_says_nothing(api: str, decode: Decode) -> None:
    """Some gateways begin with an event of their own, such as a content filter's result."""
    odd = b'data: {"choices":[],"prompt_filter_results":[]}\n\ndata: {"object":"note"}\n\n'
    decoded = decode(api, odd + FIRST[api] + b"data: [DONE]\n\n")
    assert (decoded.outcome, decoded.text, decoded.output_tokens) == ("ok", "a", 1)


@pytest.mark.parametrize("api", OPENAI)
def test_a_choice_without_a_number_is_the_first(api: str, decode: Decode) -> None:
    """`"index": null` is read like no index."""
    numbered = FIRST[api].replace(b'[{"', b'[{"index":null,"')
    assert decode(api, numbered + b"data: [DONE]\n\n").text == "a"


@every_api
def test_blanks_before_a_body_are_a_keep_alive(api: str, decode: Decode) -> None:
    """Some servers send blanks while they think; they neither count nor spoil the answer."""
    body = FIRST[api] + (b"data: [DONE]\n\n" if api in OPENAI else b"")
    for content_type in (JSON, None):
        decoded = decode(api, [b" ", b"\n", b"  ", body], content_type=content_type)
        assert (decoded.outcome, decoded.token_ns) == ("ok", (1003,))


@every_api
def test_blanks_before_a_body_are_not_kept(api: str, make_target: Any) -> None:
    """However long a server thinks, what is kept of its keep-alives stays small."""
    decoder: Any = dialect(api).decoder(make_target(), 200, [("content-type", JSON)])
    for _ in range(1000):
        decoder.feed(1, b" " * 1000)
    assert decoder._head == b""
    decoded = decoder.finish(Ending(COMPLETE))
    assert decoded.error == "empty answer: status 200 with no text, reasoning or tool call"


@every_api
def test_an_error_sentence_cannot_command_a_terminal(api: str, decode: Decode) -> None:
    """Control and direction characters in a server's error do not reach the report."""
    decoded = decode(api, "\x1b[31m\x00red \u202eback".encode(), status=500, content_type="text/plain")
    assert decoded.error == "500: \ufffd[31m\ufffdred \ufffdback"

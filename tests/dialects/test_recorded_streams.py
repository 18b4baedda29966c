"""Answers as real servers send them, cut anywhere. A new dialect adds its streams to RECORDED."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from pytest_llmserve.dialects import DIALECTS
from pytest_llmserve.domain.exchange import CLOSED_EARLY, Decoded

SSE = "text/event-stream"
JSON = "application/json"
LINES = "application/x-ndjson"


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
LITSERVE_CHAT = events(  # another id in each chunk, and counts of nothing
    *(
        '{"id":"chatcmpl-%s","object":"chat.completion.chunk","choices":[{"delta":{"role":"assistant",'
        '"content":"%s","tool_calls":null},"finish_reason":null,"index":0}],"usage":null}' % chunk
        for chunk in (("3d0c74", "Say "), ("e5fc54", "hi "), ("39d492", "now. "))
    ),
    '{"id":"chatcmpl-6bc985","object":"chat.completion.chunk","choices":[{"delta":{"role":null,"content":null},'
    '"finish_reason":"stop","index":0}],"usage":{"prompt_tokens":0,"total_tokens":0,"completion_tokens":0}}',
    "[DONE]",
)
ODD_CHAT = (  # comments, CRLF, no space, an event name, several lines of data, line separators inside JSON
    b": keep-alive\r\n\r\n"
    b'event: message\r\ndata:{"choices":\r\ndata:[{"delta":{"content":"a\xe2\x80\xa8b\xc2\x85c"}}]}\r\n\r\n'
    b":\r\n\r\n"
    b'id: 7\r\nretry: 10\r\ndata:{"choices":[{"delta":{"content":"d"},"finish_reason":"stop"}]}\r\n\r\n'
    b"data:[DONE]\r\n\r\n"
)
CHAT_BODY = (
    b'{"choices":[{"finish_reason":"length","index":0,"message":{"role":"assistant","content":"Hello you"}}],'
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
OLLAMA_AT = '"model":"gemma4","created_at":"2025-10-26T17:15:24.097767Z"'
OLLAMA_COUNTS = (
    '"total_duration":4883583458,"load_duration":1334875,"prompt_eval_count":26,'
    '"prompt_eval_duration":342546000,"eval_count":282,"eval_duration":4535599000'
)
OLLAMA_GENERATE = events(  # https://docs.ollama.com/api/streaming
    '{%s,"response":"That","done":false}' % OLLAMA_AT,
    '{%s,"response":"\'","done":false}' % OLLAMA_AT,
    '{%s,"response":"","done":true,"done_reason":"stop","context":[1,2,3],%s}' % (OLLAMA_AT, OLLAMA_COUNTS),
    end="\n",
    prefix="",
)
OLLAMA_CHAT = events(  # https://github.com/ollama/ollama/blob/main/docs/api.md
    '{%s,"message":{"role":"assistant","content":"The","images":null},"done":false}' % OLLAMA_AT,
    '{%s,"message":{"role":"assistant","content":" sky"},"done":false}' % OLLAMA_AT,
    '{%s,"done":true,%s}' % (OLLAMA_AT, OLLAMA_COUNTS),
    end="\n",
    prefix="",
)
OLLAMA_BODY = (
    '{%s,"response":"The sky","done":true,"done_reason":"stop","context":[1,2,3],%s}'
    % (OLLAMA_AT, OLLAMA_COUNTS)
).encode()
OLLAMA_CHAT_BODY = (
    '{%s,"message":{"role":"assistant","content":"Hello!"},"done":true,%s}' % (OLLAMA_AT, OLLAMA_COUNTS)
).encode()
TGI_NATIVE = events(  # https://huggingface.co/docs/text-generation-inference: no space behind "data:"
    '{"index":1,"token":{"id":16,"text":"Deep","logprob":-0.34,"special":false},'
    '"generated_text":null,"details":null}',
    '{"index":2,"token":{"id":2,"text":"</s>","logprob":-0.1,"special":true},"generated_text":"Deep",'
    '"details":{"finish_reason":"eos_token","generated_tokens":2,"seed":null,"input_length":5}}',
    prefix="data:",
)
TGI_BODY = (
    b'{"generated_text":"Deep","details":{"finish_reason":"eos_token","generated_tokens":2,"seed":null,'
    b'"prefill":[],"tokens":[{"id":16,"text":"Deep","logprob":-0.34,"special":false}]}}'
)
TRITON_STREAM = events(  # https://github.com/triton-inference-server/vllm_backend
    '{"model_name":"vllm_model","model_version":"1","text_output":" Triton"}',
    '{"model_name":"vllm_model","model_version":"1","text_output":" serves"}',
    '{"model_name":"vllm_model","model_version":"1","text_output":""}',
)
TRITON_GROWING = (
    events(  # accumulate_tokens of https://github.com/triton-inference-server/tensorrtllm_backend
        *('{"model_name":"tensorrt_llm_bls","text_output":"%s"}' % text for text in ("A", "A b", "A b c")),
    )
)
KSERVE_BODY = b'{"text_output":"model output","model_name":"mymodel","model_version":"1"}'
TGI_STREAM = events(
    '{"index":1,"token":{"id":1,"text":"Deep","special":false},"generated_text":null,"details":null}',
    '{"index":2,"token":{"id":2,"text":" \u2028end","special":false},"generated_text":"Deep \u2028end",'
    '"details":{"finish_reason":"length","generated_tokens":2}}',
)
GRADIO_4 = (  # cumulative, and once more at the end
    b'event: generating\ndata: ["t0 "]\n\nevent: generating\ndata: ["t0 t1 "]\n\n'
    b"event: heartbeat\ndata: null\n\n"
    b'event: generating\ndata: ["t0 t1 t2 "]\n\nevent: complete\ndata: ["t0 t1 t2 "]\n\n'
)
GRADIO_6_TURNS = (
    '"role": "user", "metadata": null, "content": [{"text": "hi", "type": "text"}], "options": null',
    '"role": "assistant", "metadata": null, "content": [{"text": "%s", "type": "text"}], "options": null',
)
GRADIO_6_CHAT = b"".join(
    f"event: {name}\ndata: [[{{{GRADIO_6_TURNS[0]}}}, {{{GRADIO_6_TURNS[1] % text}}}]]\n\n".encode()
    for name, text in (("generating", "you "), ("generating", "you said"), ("complete", "you said hi"))
)
GRADIO_RUN = (
    b'{"data":["w0 w1 w2"],"is_generating":false,"duration":0.2008991241455078,'
    b'"average_duration":0.2015058994293213,"render_config":null,"changed_state_ids":[],"used_cache":null}'
)

RESPONSE_AT = (
    '"id":"resp_8GkAPZd33atjZricrY7jjn9LUWNbJk4W","object":"response","created_at":1795294893,'
    '"model":"smollm2-135m"'
)
RESPONSE_ITEM = (
    '{"type":"message","status":"completed","id":"msg_Mn7st","content":[{"type":"output_text","annotations":[],'
    '"logprobs":[],"text":"Ah, caf\u00e9"}],"role":"assistant"}'
)
RESPONSE_USAGE = '"usage":{"input_tokens":33,"output_tokens":4,"total_tokens":37}'


def typed(*data: str) -> bytes:
    """Events as llama.cpp sends those of /v1/responses and /v1/messages: each with its type as its name."""
    return b"".join(b"event: " + item.split('"')[3].encode() + b"\n" + events(item) for item in data)


LLAMACPP_RESPONSE = typed(
    '{"type":"response.created","response":{%s,"status":"in_progress"}}' % RESPONSE_AT,
    '{"type":"response.in_progress","response":{%s,"status":"in_progress"}}' % RESPONSE_AT,
    '{"type":"response.output_item.added","item":{"content":[],"id":"msg_Mn7st","role":"assistant",'
    '"status":"in_progress","type":"message"}}',
    '{"type":"response.content_part.added","item_id":"msg_Mn7st","part":{"type":"output_text","text":""}}',
    '{"type":"response.output_text.delta","item_id":"msg_Mn7st","delta":"Ah"}',
    '{"type":"response.output_text.delta","item_id":"msg_Mn7st","delta":","}',
    '{"type":"response.output_text.delta","item_id":"msg_Mn7st","delta":" caf\u00e9"}',
    '{"type":"response.output_text.done","item_id":"msg_Mn7st","text":"Ah, caf\u00e9"}',
    '{"type":"response.output_item.done","item":%s}' % RESPONSE_ITEM,
    '{"type":"response.completed","response":{%s,"status":"completed","output":[%s],%s},'
    '"timings":{"cache_n":0,"prompt_n":33,"predicted_n":4}}' % (RESPONSE_AT, RESPONSE_ITEM, RESPONSE_USAGE),
)
RESPONSE_BODY = (
    '{%s,"completed_at":1795294893,"output":[%s],"status":"completed",%s}'
    % (RESPONSE_AT, RESPONSE_ITEM, RESPONSE_USAGE)
).encode()
LLAMACPP_MESSAGE = typed(
    '{"type":"message_start","message":{"id":"chatcmpl-x6UVaHT1","type":"message","role":"assistant",'
    '"content":[],"model":"smollm2-135m","stop_reason":null,"stop_sequence":null,'
    '"usage":{"cache_read_input_tokens":32,"input_tokens":1,"output_tokens":0}}}',
    '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"W"}}',
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"anna \u2028"}}',
    '{"type":"content_block_stop","index":0}',
    '{"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},'
    '"usage":{"output_tokens":4}}',
    '{"type":"message_stop"}',
)
MESSAGE_BODY = (
    b'{"id":"chatcmpl-Ep8ym2hLnNUTdgZATdja4TAgMFx559KV","type":"message","role":"assistant","content":'
    b'[{"type":"text","text":"I\'m glad you"}],"model":"smollm2-135m","stop_reason":"max_tokens",'
    b'"stop_sequence":null,"usage":{"cache_read_input_tokens":32,"input_tokens":1,"output_tokens":4}}'
)


def deltas(*texts: str) -> list[str]:
    return [
        '{"type":"response.output_text.delta","item_id":"msg_95631bd4","delta":"%s","output_index":0,'
        '"content_index":0,"logprobs":[]}' % text
        for text in texts
    ]


VLLM_RESPONSES = typed(  # "completed" is the event's name though the answer met its limit
    '{"type":"response.created","response":{"id":"resp_bced","status":"in_progress","output":[],'
    '"incomplete_details":null,"usage":null},"sequence_number":0}',
    *deltas("Hello", " there", "!", " I"),
    '{"type":"response.completed","response":{"id":"resp_bced","incomplete_details":{"reason":'
    '"max_output_tokens"},"output":[{"id":"msg_9563","content":[{"annotations":[],"text":"Hello there! I",'
    '"type":"output_text","logprobs":null}],"role":"assistant","status":"completed","type":"message"}],'
    '"status":"incomplete","usage":{"input_tokens":33,"output_tokens":4,"total_tokens":37}},'
    '"sequence_number":11}',
)
TRANSFORMERS_RESPONSES = events(  # no names
    '{"response":{"id":"resp_f10e","output":[],"status":"queued"},"type":"response.created"}',
    *deltas("Hello", " there"),
    '{"response":{"id":"resp_f10e","output":[],"status":"completed","usage":{"input_tokens":33,'
    '"output_tokens":4,"total_tokens":37}},"sequence_number":11,"type":"response.completed"}',
)
VLLM_RESPONSES_BODY = (
    b'{"id":"resp_a898","incomplete_details":{"reason":"max_output_tokens"},"object":"response",'
    b'"output":[{"id":"msg_aa08","content":[{"annotations":[],"text":"Mali! How","type":"output_text",'
    b'"logprobs":null}],"role":"assistant","status":"completed","type":"message"}],"status":"incomplete",'
    b'"usage":{"input_tokens":33,"output_tokens":4,"total_tokens":37}}'
)
MESSAGE_TEXTS = [
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}' % text
    for text in ("Hello", " there", "!")
]
VLLM_MESSAGES = typed(
    '{"type":"message_start","message":{"id":"chatcmpl-994a","type":"message","role":"assistant",'
    '"content":[],"stop_reason":null,"usage":{"input_tokens":33,"output_tokens":0}}}',
    '{"type":"content_block_start","content_block":{"type":"text","text":""},"index":0}',
    *MESSAGE_TEXTS,
    '{"type":"content_block_stop","index":0}',
    '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    '"usage":{"input_tokens":33,"output_tokens":4}}',
    '{"type":"message_stop"}',
)
VLLM_MESSAGES_BODY = (
    b'{"id":"chatcmpl-a6b4","type":"message","role":"assistant","content":[{"type":"text",'
    b'"text":"Hello there! I"}],"model":"smollm2-135m","stop_reason":"max_tokens",'
    b'"usage":{"input_tokens":33,"output_tokens":4}}'
)

RECORDED: dict[str, Recorded] = {
    "llama.cpp": Recorded(
        "openai-chat", SSE, LLAMACPP_CHAT, "The caf\u00e9 \U0001f600", 3, 4, "usage", "stop"
    ),
    "vLLM": Recorded("openai-chat", SSE, VLLM_CHAT, "I'm here\n", 2, 2, "estimated", "length"),
    "transformers": Recorded("openai-chat", SSE, TRANSFORMERS_CHAT, "Hello there!", 2, 8, "usage", "stop"),
    "LitServe": Recorded("openai-chat", SSE, LITSERVE_CHAT, "Say hi now. ", 3, 3, "estimated", "stop"),
    "odd": Recorded("openai-chat", SSE, ODD_CHAT, "a\u2028b\u0085cd", 2, 2, "estimated", "stop"),
    "chat body": Recorded("openai-chat", JSON, CHAT_BODY, "Hello you", 1, 2, "usage", "length"),
    "completions": Recorded(
        "openai-completions", SSE, COMPLETIONS_STREAM, "Once upon a", 2, 3, "usage", "length"
    ),
    "completions body": Recorded("openai-completions", JSON, COMPLETIONS_BODY, "\n", 1, 2, "usage", "stop"),
    "llama.cpp responses": Recorded(
        "openai-responses", SSE, LLAMACPP_RESPONSE, "Ah, caf\u00e9", 3, 4, "usage", "completed"
    ),
    "llama.cpp response body": Recorded(
        "openai-responses", JSON, RESPONSE_BODY, "Ah, caf\u00e9", 1, 4, "usage", "completed"
    ),
    "llama.cpp messages": Recorded(
        "anthropic-messages", SSE, LLAMACPP_MESSAGE, "Wanna \u2028", 2, 4, "usage", "max_tokens"
    ),
    "llama.cpp message body": Recorded(
        "anthropic-messages", JSON, MESSAGE_BODY, "I'm glad you", 1, 4, "usage", "max_tokens"
    ),
    "vLLM responses": Recorded(
        "openai-responses", SSE, VLLM_RESPONSES, "Hello there! I", 4, 4, "usage", "max_output_tokens"
    ),
    "transformers responses": Recorded(
        "openai-responses", SSE, TRANSFORMERS_RESPONSES, "Hello there", 2, 4, "usage", "completed"
    ),
    "vLLM responses body": Recorded(
        "openai-responses", JSON, VLLM_RESPONSES_BODY, "Mali! How", 1, 4, "usage", "max_output_tokens"
    ),
    "vLLM messages": Recorded(
        "anthropic-messages", SSE, VLLM_MESSAGES, "Hello there!", 3, 4, "usage", "end_turn"
    ),
    "vLLM messages body": Recorded(
        "anthropic-messages", JSON, VLLM_MESSAGES_BODY, "Hello there! I", 1, 4, "usage", "max_tokens"
    ),
    "Ollama": Recorded("ollama-generate", LINES, OLLAMA_GENERATE, "That'", 2, 282, "usage", "stop"),
    "Ollama body": Recorded("ollama-generate", JSON, OLLAMA_BODY, "The sky", 1, 282, "usage", "stop"),
    "Ollama chat": Recorded("ollama-chat", LINES, OLLAMA_CHAT, "The sky", 2, 282, "usage", None),
    "Ollama chat body": Recorded("ollama-chat", JSON, OLLAMA_CHAT_BODY, "Hello!", 1, 282, "usage", None),
    "TGI": Recorded("tgi", SSE, TGI_NATIVE, "Deep", 1, 2, "usage", "eos_token"),
    "TGI body": Recorded("tgi", JSON, TGI_BODY, "Deep", 1, 2, "usage", "eos_token"),
    "Triton": Recorded("kserve", SSE, TRITON_STREAM, " Triton serves", 2, 2, "estimated", None),
    "Triton, all text so far": Recorded("kserve", SSE, TRITON_GROWING, "A b c", 3, 3, "estimated", None),
    "KServe body": Recorded("kserve", JSON, KSERVE_BODY, "model output", 1, None, None, None),
    "gradio 4": Recorded("gradio", SSE, GRADIO_4, "t0 t1 t2 ", 3, 3, "estimated", None),
    "gradio 6 chat": Recorded("gradio", SSE, GRADIO_6_CHAT, "you said hi", 3, 3, "estimated", None),
    "gradio run": Recorded("gradio", JSON, GRADIO_RUN, "w0 w1 w2", 1, None, None, None),
    "json body": Recorded(
        "json", JSON, '{"response": "gr\u00fcn"}'.encode(), "gr\u00fcn", 1, None, None, None
    ),
    "json lines": Recorded("json", "application/x-ndjson", OLLAMA_LINES, "The sky", 2, 9, "usage", "stop"),
    "json events": Recorded("json", SSE, TGI_STREAM, "Deep \u2028end", 2, 2, "usage", "length"),
}
Decode = Callable[..., Decoded]
every_recorded = pytest.mark.parametrize("recorded", RECORDED.values(), ids=RECORDED)


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


def test_every_dialect_is_recorded_streamed_and_unstreamed() -> None:
    for types in ((SSE, LINES), (JSON,)):
        assert {item.api for item in RECORDED.values() if item.content_type in types} == set(DIALECTS)


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


@pytest.mark.parametrize(  # JSON lines are known by their type alone
    "recorded", [item for item in RECORDED.values() if item.content_type in (SSE, JSON)]
)
@pytest.mark.parametrize("content_type", [None, "text/plain; charset=utf-8", "application/json"])
def test_a_wrong_or_missing_content_type_is_seen_through(
    recorded: Recorded, content_type: str | None, decode: Decode
) -> None:
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

"""How a server of each API speaks: the suites over all dialects run on it. A new dialect adds its row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

SSE = "text/event-stream"
LINES = "application/x-ndjson"
SEVEN = 7
"""Output tokens that a server counts where it counts."""
OUT_OF_MEMORY = "CUDA out of memory"
"""What every error says."""

_SSE_ERRORS = (
    b'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n',
    b'data: {"error": "CUDA out of memory"}\n\n',
    b'event: error\ndata: {"message": "CUDA out of memory"}\n\n',
    b"event: error\ndata: CUDA out of memory\n\n",
)


class Speaker(NamedTuple):
    """How a server of this API says "one two", and what else it may say.

    Attributes:
        stream: a good stream: "one " and "two", each in a frame of its own.
        body: the same as one unstreamed body.
        counted: a good stream as rich as servers have it, with a count of 7 output tokens.
        counted_body: a good body with that count.
        empty: a stream of the API's form in which nothing is said; empty_body likewise.
        pieces: frames that may follow one another in any order, plain tokens first.
        quiet: frames of a token each which is no text of the answer: reasoning, tool calls.
        idle: frames that say nothing: keep-alives, heartbeats.
        errors: frames that report OUT_OF_MEMORY inside a stream.
        error_body: a body with status 200 that reports it.
        end: a frame that alone marks the end of a stream.
        content_type: of the stream; LINES = a frame is a line.
        target: fields of the target that the API wants.
        prompt_at: dotted path to a text prompt in the body of the request.
        system_at: the same for the text of a system message; None = it is joined to the prompt.
        counts: the API has a count of output tokens.
        cumulative: each frame has all the text so far, so that the same one again says nothing.
        no_reason: what is said of an error that has none.
        asks_stream: value of the field "stream" when a streamed answer is wanted, and when not; None = none.
    """

    stream: bytes
    body: bytes
    counted: bytes
    counted_body: bytes
    empty: bytes
    empty_body: bytes
    pieces: tuple[bytes, ...]
    prompt_at: str
    system_at: str | None = None
    quiet: tuple[bytes, ...] = ()
    idle: tuple[bytes, ...] = (b": ping\n\n", b"data:\n\n", b"event: ping\ndata: \n\n")
    errors: tuple[bytes, ...] = _SSE_ERRORS
    error_body: bytes = b'{"error": {"message": "CUDA out of memory"}}'
    end: bytes = b"data: [DONE]\n\n"
    content_type: str = SSE
    target: Mapping[str, Any] = MappingProxyType({})
    asks_stream: tuple[bool | None, bool | None] = (True, None)
    counts: bool = True
    cumulative: bool = False
    no_reason: str = "no reason given"

    @property
    def frame_end(self) -> bytes:
        """What ends a frame."""
        return b"\n" if self.content_type == LINES else b"\n\n"

    @property
    def data(self) -> bytes:
        """What stands before the JSON of a frame without a name."""
        return b"" if self.content_type == LINES else b"data: "

    def frame(self, data: bytes) -> bytes:
        """A frame with this data, without a name."""
        return self.data + data + self.frame_end

    def frames(self, stream: bytes) -> list[bytes]:
        """The frames of a stream."""
        return [part + self.frame_end for part in stream.split(self.frame_end) if part]

    @property
    def first(self) -> bytes:
        """The stream up to its first token, that one included."""
        told = b""
        for frame in self.frames(self.stream):
            told += frame
            if b"one " in frame:
                return told
        raise AssertionError("the stream does not say one")


def event(value: Any, name: str = "") -> bytes:
    """One server-sent event with this JSON."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


def _chat(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


def _text(text: str, finish: str | None = None, **more: Any) -> bytes:
    return event({"choices": [{"index": 0, "text": text, "finish_reason": finish}], **more})


def line(value: Any) -> bytes:
    """One line with this JSON."""
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def _said(text: str, **more: Any) -> bytes:
    return line({"message": {"role": "assistant", "content": text}, "done": False, **more})


def _token(text: str, whole: str | None = None, details: dict[str, Any] | None = None) -> bytes:
    token = {"id": 1, "text": text, "logprob": -0.1, "special": False}
    return event({"index": 1, "token": token, "generated_text": whole, "details": details})


def _output(text: str, **more: Any) -> bytes:
    return event({"model_name": "m", "model_version": "1", "text_output": text, **more})


def _typed(kind: str, **fields: Any) -> bytes:
    """An event that says by its type what it is, and by its name too."""
    return event({"type": kind, **fields}, kind)


def _delta(text: str) -> bytes:
    return _typed(
        "response.output_text.delta", item_id="msg_1", content_index=0, delta=text, sequence_number=4
    )


def _response(status: str, **fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": status, **fields}


def _message(text: str) -> list[dict[str, Any]]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}]


_CREATED = _typed("response.created", response=_response("in_progress", error=None, output=[], usage=None))
_COMPLETED = _typed("response.completed", response=_response("completed", output=_message("one two")))
_RESPONSE_ERROR = {"code": "server_error", "message": OUT_OF_MEMORY}


def _block(kind: str, **fields: Any) -> bytes:
    return _typed("content_block_delta", index=0, delta={"type": kind, **fields})


_MESSAGE_START = _typed(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "m",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 25, "output_tokens": 1},
    },
)
_BLOCK_START = _typed("content_block_start", index=0, content_block={"type": "text", "text": ""})
_STOP = {"stop_reason": "end_turn", "stop_sequence": None}
_MESSAGE_STOP = _typed("message_stop")
_OVERLOADED = {"type": "overloaded_error", "message": OUT_OF_MEMORY}

DONE = b"data: [DONE]\n\n"
_LINES: dict[str, Any] = {
    "content_type": LINES,
    "idle": (b"\n", b"\r\n", b"  \n"),
    "errors": (b'{"error":"CUDA out of memory"}\n', b'{"error":{"message":"CUDA out of memory"}}\n'),
    "error_body": b'{"error":"CUDA out of memory"}',
    "end": b'{"done":true}\n',
    "target": {"model": "m"},
    "asks_stream": (True, False),
}

SPEAKERS: dict[str, Speaker] = {
    "openai-chat": Speaker(
        stream=_chat({"content": "one "}) + _chat({"content": "two"}, "stop") + DONE,
        body=b'{"choices":[{"message":{"content":"one two"},"finish_reason":"stop"}]}',
        counted=_chat({"role": "assistant", "content": ""})
        + b'data: {"choices":[{"delta":{"content":"caf\xc3\xa9 \xe2\x80\xa8"}}],"usage":null}\r\n\r\n'
        + b": ping\n\n"
        + _chat({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]})
        + _chat({}, "stop")
        + event({"choices": [], "usage": {"completion_tokens": SEVEN}})
        + DONE,
        counted_body=b'{"choices":[{"message":{"content":"one two"}}],"usage":{"completion_tokens":7}}',
        empty=_chat({"role": "assistant", "content": ""}) + _chat({}, "stop") + DONE,
        empty_body=b'{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}',
        pieces=(
            b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
            b'data: {"choices":[{"delta":{"content":"\xc3\xa9"},"finish_reason":null}],"usage":null}\n\n',
            b'data: {"choices":[{"index":1,"delta":{"content":"other"}}]}\n\n',
            b'data: {"choices":[{"delta":{"content":""}},{"delta":{"content":"b"}}]}\n\n',
            b'data: {"choices":[{"delta":{"reasoning":"hm"}}]}\n\n',
            b'data: {"choices":[{"delta":{"content":"c"}}],"usage":{"completion_tokens":3}}\n\n',
            b'data: {"choices":[{"delta":{"content":7}}]}\n\n',
        ),
        quiet=(_chat({"reasoning_content": "hm"}), _chat({"reasoning": "hm"}), _chat({"refusal": "no"})),
        prompt_at="messages.0.content",
        system_at="messages.0.content",
    ),
    "openai-completions": Speaker(
        stream=_text("one ") + _text("two", "stop") + DONE,
        body=b'{"choices":[{"text":"one two","finish_reason":"stop"}]}',
        counted=_text("a \N{GRINNING FACE}") + _text("b", "stop", usage={"completion_tokens": SEVEN}) + DONE,
        counted_body=b'{"choices":[{"text":"one two"}],"usage":{"completion_tokens":7}}',
        empty=_text("", "stop") + DONE,
        empty_body=b'{"choices":[{"text":"","finish_reason":"stop"}]}',
        pieces=(
            b'data: {"choices":[{"text":"a"}]}\n\n',
            b'data: {"choices":[{"text":"b","index":1}]}\n\n',
            b'data: {"choices":[{"text":"c","finish_reason":"stop"}]}\n\n',
            b'data: {"choices":[{"text":""}]}\n\n',
            b'data: {"choices":[{"text":["d"]}]}\n\n',
        ),
        prompt_at="prompt",
    ),
    "ollama-generate": Speaker(
        stream=line({"response": "one ", "done": False})
        + line({"response": "two", "done": False})
        + line({"response": "", "done": True, "done_reason": "stop"}),
        body=b'{"model":"m","response":"one two","done":true,"done_reason":"stop"}',
        counted=line({"response": "", "thinking": "hm", "done": False})
        + line({"response": "caf\xe9 \u2028", "done": False})
        + b"\r\n"
        + line({"response": "", "done": True, "done_reason": "stop", "eval_count": SEVEN}),
        counted_body=b'{"response":"one two","done":true,"eval_count":7,"prompt_eval_count":2}',
        empty=line({"response": "", "done": True, "done_reason": "load"}),
        empty_body=b'{"response":"","done":true,"done_reason":"load"}',
        pieces=(
            line({"response": "a", "done": False}),
            line({"model": "m", "response": "\xe9", "done": False}),
            line({"response": "", "done": False}),
            line({"response": "b", "done": False, "eval_count": 3}),
            line({"response": 7, "done": False}),
        ),
        quiet=(line({"response": "", "thinking": "hm", "done": False}),),
        prompt_at="prompt",
        system_at="system",
        **_LINES,
    ),
    "ollama-chat": Speaker(
        stream=_said("one ") + _said("two") + line({"done": True, "done_reason": "stop"}),
        body=b'{"message":{"role":"assistant","content":"one two"},"done":true,"done_reason":"stop"}',
        counted=line({"message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False})
        + _said("caf\xe9 \u2028")
        + b"\r\n"
        + _said("", done=True, done_reason="stop", eval_count=SEVEN),
        counted_body=b'{"message":{"content":"one two"},"done":true,"eval_count":7,"prompt_eval_count":2}',
        empty=_said("", done=True, done_reason="load"),
        empty_body=b'{"message":{"role":"assistant","content":""},"done":true,"done_reason":"load"}',
        pieces=(
            _said("a"),
            line({"message": {"role": "assistant", "content": "\xe9", "images": None}, "done": False}),
            _said(""),
            line({"message": None, "done": False}),
            line({"message": {"content": 7}, "done": False}),
        ),
        quiet=(
            line({"message": {"content": "", "thinking": "hm"}, "done": False}),
            line({"message": {"content": "", "tool_calls": [{"function": {"name": "f"}}]}, "done": False}),
        ),
        prompt_at="messages.0.content",
        system_at="messages.0.content",
        **_LINES,
    ),
    "tgi": Speaker(
        stream=_token("one ") + _token("two", "one two", {"finish_reason": "length"}),
        body=b'{"generated_text":"one two"}',
        counted=_token("caf\xe9 \u2028")
        + b": ping\n\n"
        + event(
            {
                "index": 2,
                "token": {"text": "</s>", "special": True},
                "generated_text": "caf\xe9 \u2028",
                "details": {"finish_reason": "eos_token", "generated_tokens": SEVEN},
            }
        ),
        counted_body=b'[{"generated_text":"one two","details":{"generated_tokens":7}}]',
        empty=event({"token": {"text": "</s>", "special": True}, "generated_text": "", "details": None}),
        empty_body=b'{"generated_text":""}',
        pieces=(
            _token("a"),
            _token("\xe9"),
            _token(""),
            event({"token": {"text": "<s>", "special": True}, "generated_text": None}),
            _token("b", "ab"),
            event({"token": 7}),
        ),
        errors=(
            b'data:{"error":"CUDA out of memory","error_type":"generation"}\n\n',
            *_SSE_ERRORS,
        ),
        error_body=b'{"error":"CUDA out of memory","error_type":"generation"}',
        prompt_at="inputs",
        asks_stream=(None, None),
    ),
    "kserve": Speaker(
        stream=_output("one ", done=False) + _output("two", done=True),
        body=b'{"model_name":"m","text_output":"one two"}',
        counted=_output("caf\xe9 \u2028", finish_reason="None")
        + _output("b", num_output_tokens=SEVEN, finish_reason="stop"),
        counted_body=b'{"model_name":"m","text_output":["one two"],"num_output_tokens":7}',
        empty=_output("", done=True),
        empty_body=b'{"text_output":""}',
        pieces=(
            _output("a"),
            _output("ab"),
            _output("abc"),
            _output("b", done=False),
            _output("", done=True),
            _output("c", num_output_tokens=1),
            _output("d", finish_reason="stop"),
            event({"text_output": ["e", "f"]}),
            event({"text_output": 7}),
        ),
        prompt_at="text_input",
        asks_stream=(None, None),
    ),
    "openai-responses": Speaker(
        stream=_CREATED + _delta("one ") + _delta("two") + _COMPLETED,
        body=json.dumps(_response("completed", output=_message("one two"), error=None)).encode(),
        counted=_CREATED
        + _typed("response.in_progress", response=_response("in_progress"))
        + _typed("response.reasoning_summary_text.delta", delta="hm")
        + _typed("response.output_item.added", item={"type": "message", "content": []})
        + _delta("caf\N{LATIN SMALL LETTER E WITH ACUTE} ").replace(b"\\u00e9", b"\xc3\xa9 \xe2\x80\xa8")
        + b": ping\n\n"
        + _delta("b").replace(b"\n", b"\r\n")
        + _typed("response.function_call_arguments.delta", delta="{}")
        + _typed("response.output_text.done", text="whole")
        + _typed(
            "response.incomplete",
            response=_response(
                "incomplete",
                output=_message("whole"),
                incomplete_details={"reason": "max_output_tokens"},
                usage={"input_tokens": 3, "output_tokens": SEVEN},
            ),
        ),
        counted_body=b'{"output":[{"content":[{"text":"one two"}]}],"usage":{"output_tokens":7}}',
        empty=_CREATED + _typed("response.completed", response=_response("completed", output=_message(""))),
        empty_body=json.dumps(_response("completed", output=_message(""))).encode(),
        pieces=(
            _delta("a"),
            _delta("\N{GRINNING FACE}"),
            _typed("response.output_text.delta", delta=7),
            _typed("response.reasoning_text.delta", delta="hm"),
            _typed("response.output_text.delta", delta=""),
            _typed("response.output_item.done", item={"type": "message"}),
            _typed("response.completed", response=_response("completed", output=_message("all"))),
            event({"type": "response.output_text.delta", "delta": "unnamed"}),
        ),
        quiet=(
            _typed("response.reasoning_text.delta", delta="hm"),
            _typed("response.reasoning_summary_text.delta", delta="hm"),
            _typed("response.refusal.delta", delta="no"),
            _typed("response.function_call_arguments.delta", delta="{"),
        ),
        errors=(
            *_SSE_ERRORS,
            _typed("error", **_RESPONSE_ERROR, param=None, sequence_number=3),
            event({"type": "error", **_RESPONSE_ERROR}),
            _typed("response.failed", response=_response("failed", error=_RESPONSE_ERROR, output=[])),
        ),
        error_body=json.dumps(_response("failed", error=_RESPONSE_ERROR, output=[])).encode(),
        end=_COMPLETED,
        prompt_at="input",
        system_at="input.0.content",
    ),
    "anthropic-messages": Speaker(
        stream=_MESSAGE_START
        + _BLOCK_START
        + _block("text_delta", text="one ")
        + _block("text_delta", text="two")
        + _typed("message_delta", delta=_STOP)
        + _MESSAGE_STOP,
        body=b'{"type":"message","content":[{"type":"text","text":"one two"}],"stop_reason":"end_turn"}',
        counted=_MESSAGE_START
        + _typed("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""})
        + _typed("ping")
        + _block("thinking_delta", thinking="hm")
        + _block("signature_delta", signature="EqQBCgIYAhIM")
        + _typed("content_block_stop", index=0)
        + _BLOCK_START
        + _block("text_delta", text="caf\N{LATIN SMALL LETTER E WITH ACUTE}").replace(
            b"\\u00e9", b"\xc3\xa9 \xe2\x80\xa8"
        )
        + b": ping\n\n"
        + _block("text_delta", text="b").replace(b"\n", b"\r\n")
        + _typed("message_delta", delta=_STOP, usage={"output_tokens": SEVEN})
        + _MESSAGE_STOP,
        counted_body=b'{"content":[{"type":"text","text":"one two"}],"usage":{"output_tokens":7}}',
        empty=_MESSAGE_START + _BLOCK_START + _typed("message_delta", delta=_STOP) + _MESSAGE_STOP,
        empty_body=b'{"content":[],"stop_reason":"end_turn"}',
        pieces=(
            _block("text_delta", text="a"),
            _block("text_delta", text="\N{GRINNING FACE}"),
            _block("text_delta", text=7),
            _block("thinking_delta", thinking="hm"),
            _BLOCK_START,
            _typed("message_delta", delta=_STOP, usage={"output_tokens": 3}),
            _MESSAGE_STOP,
            event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "unnamed"}}),
        ),
        quiet=(
            _block("thinking_delta", thinking="hm"),
            _block("input_json_delta", partial_json='{"'),
            _typed("content_block_start", index=1, content_block={"type": "tool_use", "name": "f"}),
        ),
        idle=(
            b": ping\n\n",
            _typed("ping"),
            b"event: ping\ndata: \n\n",
            _block("signature_delta", signature="E"),
        ),
        errors=(
            *_SSE_ERRORS,
            _typed("error", error=_OVERLOADED),
            event({"type": "error", "error": _OVERLOADED}),
        ),
        error_body=json.dumps({"type": "error", "error": _OVERLOADED}).encode(),
        end=_MESSAGE_STOP,
        prompt_at="messages.0.content",
        system_at="system",
    ),
    "gradio": Speaker(
        stream=event(["one "], "generating")
        + event(["one two"], "generating")
        + event(["one two"], "complete"),
        body=b'{"data":["one two"],"is_generating":false,"duration":0.2}',
        counted=event(
            [[{"role": "assistant", "content": "caf\N{LATIN SMALL LETTER E WITH ACUTE} \u2028"}]],
            "generating",
        )
        + event(None, "heartbeat")
        + event(["caf\N{LATIN SMALL LETTER E WITH ACUTE} \u2028 two"], "generating")
        + event(["caf\N{LATIN SMALL LETTER E WITH ACUTE} \u2028 two", None], "complete"),
        counted_body=b'{"data":["one two"]}',
        empty=event([""], "generating") + event([""], "complete"),
        empty_body=b'{"data":[""]}',
        pieces=(
            event(["a"], "generating"),
            event(["ab"], "generating"),
            event([["hi", None]], "generating"),
            event([[["hi", "ac"]]], "generating"),
            event([], "generating"),
            event({"a": 1}, "generating"),
        ),
        idle=(b": ping\n\n", b"data:\n\n", event(None, "heartbeat"), event([None], "generating")),
        errors=(*_SSE_ERRORS, event({"error": OUT_OF_MEMORY, "duration": 10, "title": "Error"}, "error")),
        end=event([None], "complete"),
        prompt_at="data.0",
        asks_stream=(None, None),
        counts=False,
        cumulative=True,
        no_reason="the function failed and the server gave no reason: see its log, or start the app with"
        " launch(show_error=True)",
    ),
    "json": Speaker(
        stream=event({"text": "one ", "done": False}) + event({"text": "two", "done": True}),
        body=b'{"text":"one two"}',
        counted=event({"token": {"text": "Deep"}, "details": None})
        + event(
            {"token": {"text": " end"}, "details": {"finish_reason": "length", "generated_tokens": SEVEN}}
        ),
        counted_body=b'{"text":"one two","usage":{"completion_tokens":7}}',
        empty=event({"text": "", "done": True}),
        empty_body=b'{"text":""}',
        pieces=(event({"text": "a"}), event({"token": {"text": "b"}}), event({"text": 1})),
        prompt_at="prompt",
        asks_stream=(None, None),
    ),
}

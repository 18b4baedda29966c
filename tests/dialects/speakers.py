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


DONE = b"data: [DONE]\n\n"

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

"""The events of a stream, read at one go."""

import timeit

import pytest
from speakers import SPEAKERS

from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.framing import whole_lines
from pytest_llmserve.dialects.sse import whole_events
from pytest_llmserve.domain.exchange import COMPLETE, Ending

TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b'data: {"a":1}\n\n'], b'{"a":1}'),
        ([b'data: {"a":1}\n\n', b"data: {}\n\n"], b'{"a":1}\n{}'),
        ([b'data: {"a":1}\n\ndata: {}\n\n'], None),
        ([b'data: {"a":1}\n', b"\ndata: {}\n\n"], None),
        ([b'data: {"a":1}\n\n', b"data: {}\n"], None),
        ([b"data: {}\r\n\r\n"], None),
        ([b"data: {}\n\n", b": ping\n\n"], None),
        ([b"data: {}\n\n", b"data: [DONE]\n\n"], None),
        ([b"data:{}\n\n", b'data:{"a":1}\n\n'], b'{}\n{"a":1}'),
        ([b"event: x\ndata:{}\n\n"], b"{}"),
        ([b"data:{}\n\n", b"data: {}\n\n"], None),
        ([b"data: {}\n\n", b"data:{}\n\n"], None),
        ([b"data: {\ndata: }\n\n"], None),
        ([b'event: x\ndata: {"a":1}\n\n', b"event: y\ndata: {}\n\n"], b'{"a":1}\n{}'),
        ([b"event: x\ndata: {}\n\n", b"event: error\ndata: {}\n\n"], None),
        ([b"event: x\ndata: {}\n\n", b"data: {}\n\n"], None),
        ([b"data: {}\n\n", b"event: x\ndata: {}\n\n"], None),
        ([b"event: x\ndata: {}\n\n", b"event:x\ndata: {}\n\n"], None),
        ([b"event: x\ndata: {}\n\nevent: x\n", b"data: {}\n\n"], None),
        ([b"event: x\ndata: {}\n\n", b"event: x\ndata: [DONE]\n\n"], None),
        ([b"event: x\ndata: {}\n\n", b"event: x\nid: 1\ndata: {}\n\n"], None),
        ([b"event: x\ndata: {}\ndata: {}\n\n"], None),
        ([b"event: x\ndata: {}\n\n", b"event: x\ndata: {}\r\n\r\n"], None),
        ([b"event: x\n\ndata: {}\n\n"], None),
        ([b"event: x\ndata: {}\n"], None),
        ([b"\n\ndata: {}\n\n"], None),
        ([b"data: {}\n\n\n", b"data: {}\n\n"], None),
        ([b"data: {}"], None),
    ],
)
def test_only_pieces_of_one_plain_event_each_are_taken(pieces, lines):
    """Anything else is left to the reader that knows all forms."""
    assert whole_events(pieces) == lines


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b'{"a":1}\n'], b'{"a":1}'),
        ([b'{"a":1}\n', b"{}\n"], b'{"a":1}\n{}'),
        ([b'{"a":1}\n{}\n'], None),
        ([b'{"a":1}\n{}\n', b"{}"], None),
        ([b'{"a"', b":1}\n"], None),
        ([b"{}\n", b"{}"], None),
        ([b"{}\n", b"\n"], None),
        ([b"{}\n\n"], None),
        ([b"[]\n", b"{}\n"], None),
    ],
)
def test_only_pieces_of_one_line_each_are_taken(pieces, lines):
    """Of JSON lines; whether a line is one object is left to whoever reads it."""
    assert whole_lines(pieces) == lines


NAMED = b"event: content_block_delta\n"
WORD = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"word "}}\n\n'
STREAMS = {
    "openai-chat": [TOKEN] * 100 + [LAST],
    "ollama-chat": [b'{"message":{"role":"assistant","content":"word "},"done":false}\n'] * 100
    + [b'{"done":true}\n'],
    "tgi": [b'data:{"token":{"id":1,"text":"word ","special":false},"generated_text":null}\n\n'] * 100
    + [b'data:{"generated_text":"..."}\n\n'],
    "anthropic-messages": [NAMED + WORD] * 100 + [b'data: {"type":"message_stop"}\n\n'],
}


def decode(make_target, api, feed):
    decoder = dialect(api).decoder(make_target(), 200, [("content-type", SPEAKERS[api].content_type)])
    feed(decoder, list(range(101)), STREAMS[api])
    return decoder.finish(Ending(COMPLETE))


def one_by_one(decoder, stamps, pieces):
    for stamp_ns, piece in zip(stamps, pieces, strict=True):
        decoder.feed(stamp_ns, piece)


def at_one_go(decoder, stamps, pieces):
    decoder.feed_many(stamps, pieces)


@pytest.mark.parametrize(
    ("api", "share"),
    [("openai-chat", 1 / 2), ("ollama-chat", 2 / 3), ("tgi", 2 / 3), ("anthropic-messages", 2 / 3)],
)
def test_at_one_go_is_the_same_and_far_less_work(make_target, api, share):
    """It is the largest part of the generator's own work for a chunk; events with names, lines."""
    assert decode(make_target, api, at_one_go) == decode(make_target, api, one_by_one)
    ways = (at_one_go, one_by_one)
    # By turns, so that what else the machine does falls on both.
    timed = [
        [timeit.timeit(lambda way=way: decode(make_target, api, way), number=10) for way in ways]
        for _ in range(15)
    ]
    spent = [min(times) for times in zip(*timed, strict=True)]
    assert spent[0] < spent[1] * share

"""Streams of every API in every form they arrive in: the same answer, each token at its stamp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from speakers import LINES, SEVEN, SPEAKERS

from pytest_llmserve.dialects import DIALECTS
from pytest_llmserve.domain.exchange import Decoded

JSON = "application/json"
Decode = Callable[..., Decoded]
every_api = pytest.mark.parametrize("api", DIALECTS)
EVENT_APIS = [api for api in DIALECTS if SPEAKERS[api].content_type != LINES]
every_event_api = pytest.mark.parametrize("api", EVENT_APIS)


def stream(decode: Decode, api: str, body: bytes | list[bytes], **how: Any) -> Decoded:
    return decode(api, body, **{"content_type": SPEAKERS[api].content_type, **SPEAKERS[api].target, **how})


def whole(decode: Decode, api: str, body: bytes) -> Decoded:
    return stream(decode, api, body, content_type=JSON, stream=False)


def essence(decoded: Decoded) -> tuple[Any, ...]:
    chunks = len(decoded.token_ns)
    return decoded.outcome, decoded.error, decoded.text, chunks, decoded.output_tokens, decoded.finish_reason


def test_every_dialect_has_a_speaker() -> None:
    """A new one adds its row; none is left behind by one that went."""
    assert set(SPEAKERS) == set(DIALECTS)


@every_api
def test_a_cut_at_any_byte_changes_nothing(api: str, decode: Decode) -> None:
    for body in (SPEAKERS[api].stream, SPEAKERS[api].counted):
        told = essence(stream(decode, api, body))
        assert told[0] == "ok"
        for at in range(1, len(body)):
            assert essence(stream(decode, api, [body[:at], body[at:]])) == told, body[:at]
        assert essence(stream(decode, api, [body[at : at + 1] for at in range(len(body))])) == told


@every_api
def test_a_token_bears_the_stamp_of_the_byte_that_completed_it(api: str, decode: Decode) -> None:
    speaker = SPEAKERS[api]
    frames = speaker.frames(speaker.stream)
    tokens = [k for k, frame in enumerate(frames) if b"one " in frame or b"two" in frame][:2]
    assert stream(decode, api, frames).token_ns == tuple(1000 + k for k in tokens)
    late = [piece for frame in frames for piece in (frame[:-1], frame[-1:])]
    assert stream(decode, api, late).token_ns == tuple(1001 + 2 * k for k in tokens)


@every_api
def test_what_comes_in_one_packet_bears_one_stamp(api: str, decode: Decode) -> None:
    assert stream(decode, api, SPEAKERS[api].stream).token_ns == (1000, 1000)


@every_api
@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_lines_may_end_otherwise(api: str, line_end: bytes, decode: Decode) -> None:
    """Event streams with CRLF or CR, JSON lines with CRLF; a packet may end between the two."""
    if line_end == b"\r" and SPEAKERS[api].content_type == LINES:
        line_end = b"\r\n"  # a lone CR ends no line of JSON
    body = SPEAKERS[api].stream.replace(b"\n", line_end)
    told = essence(stream(decode, api, SPEAKERS[api].stream))
    for at in range(len(body)):
        assert essence(stream(decode, api, [body[:at], body[at:]])) == told, body[:at]


@every_event_api
def test_a_field_needs_no_space(api: str, decode: Decode) -> None:
    for body in (SPEAKERS[api].stream, SPEAKERS[api].counted):
        tight = body.replace(b"data: ", b"data:").replace(b"event: ", b"event:")
        assert essence(stream(decode, api, tight)) == essence(stream(decode, api, body))


@every_event_api
def test_an_event_may_have_other_fields_and_be_unnamed(api: str, decode: Decode) -> None:
    """An id, a retry, a comment, a byte order mark; and the name left out, as some gateways do."""
    body = SPEAKERS[api].stream
    told = essence(stream(decode, api, body))
    full = body.replace(b"data: ", b": hm\nid: 7\nretry: 100\nnonsense\ndata: ")
    assert essence(stream(decode, api, b"\xef\xbb\xbf" + full)) == told


@every_api
@pytest.mark.parametrize(
    "text", ["a\u2028b\x85c\u2029 ", "caf\N{LATIN SMALL LETTER E WITH ACUTE} ", "\N{GRINNING FACE}"]
)
def test_characters_that_look_like_line_ends_are_text(api: str, text: str, decode: Decode) -> None:
    """Raw and escaped; cut in the middle of a character too."""
    escaped = text.encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00")
    escaped = b"\\ud83d\\ude00" if text == "\N{GRINNING FACE}" else escaped
    for written in (text.encode(), escaped):
        body = SPEAKERS[api].stream.replace(b"one ", written)
        assert stream(decode, api, body).text == text + "two"
        assert stream(decode, api, [body[at : at + 1] for at in range(len(body))]).text == text + "two"
        unstreamed = SPEAKERS[api].body.replace(b"one ", written)
        assert whole(decode, api, unstreamed).text == text + "two"


@every_api
def test_heartbeats_are_no_part_of_an_answer(api: str, decode: Decode) -> None:
    """Before the answer, in it, and by the thousand."""
    speaker = SPEAKERS[api]
    told = essence(stream(decode, api, speaker.stream))
    rest = speaker.stream.removeprefix(speaker.first)
    for idle in speaker.idle:
        decoded = stream(decode, api, [idle, idle, speaker.first, *[idle] * 1000, rest])
        assert essence(decoded) == told, idle
        assert decoded.token_ns == (1002, 2003)


@every_api
def test_what_is_generated_besides_the_answer_is_a_token_and_no_text(api: str, decode: Decode) -> None:
    """Reasoning, refusals, calls of tools: the first of them is the first token."""
    speaker = SPEAKERS[api]
    head = speaker.frames(speaker.first)[:-1]
    rest = speaker.frames(speaker.stream)[len(head) :]
    for quiet in speaker.quiet:
        decoded = stream(decode, api, [b"".join(head), quiet, *rest])
        assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", "one two", 3), quiet
        assert decoded.token_ns[0] == 1001


@pytest.mark.parametrize("api", [api for api in DIALECTS if SPEAKERS[api].counts])
def test_the_servers_count_goes_before_our_own(api: str, decode: Decode) -> None:
    """In a stream and in a body; a count of nothing is none, and chunks are counted then, or nothing."""
    speaker = SPEAKERS[api]
    for decoded in (stream(decode, api, speaker.counted), whole(decode, api, speaker.counted_body)):
        assert (decoded.outcome, decoded.output_tokens, decoded.tokens_from) == ("ok", SEVEN, "usage")
    plain = stream(decode, api, speaker.stream)
    assert (plain.output_tokens, plain.tokens_from) == (2, "estimated")
    assert whole(decode, api, speaker.body).output_tokens is None
    nothing = stream(decode, api, speaker.counted.replace(b":7", b":0"))
    assert (nothing.output_tokens, nothing.tokens_from) == (len(nothing.token_ns), "estimated")


@every_api
def test_an_answer_without_a_word_is_not_ok(api: str, decode: Decode) -> None:
    """A good form with nothing in it: malformed for that alone."""
    told = (stream(decode, api, SPEAKERS[api].empty), whole(decode, api, SPEAKERS[api].empty_body))
    for decoded in told:
        assert (decoded.outcome, decoded.says_nothing) == ("malformed", True), decoded
        assert decoded.error is not None
        assert decoded.error.startswith("empty answer: status 200 with no text, reasoning or tool call")


@every_event_api
@pytest.mark.parametrize(
    "label", ["application/json", "text/plain; charset=utf-8", "application/octet-stream", None]
)
def test_an_event_stream_is_known_whatever_it_is_called(api: str, label: str | None, decode: Decode) -> None:
    body = SPEAKERS[api].stream
    told = essence(stream(decode, api, body))
    for pieces in ([body], [body[at : at + 1] for at in range(len(body))]):
        assert essence(stream(decode, api, pieces, content_type=label)) == told


@every_api
def test_pieces_read_together_are_the_same_answer(api: str, decode: Decode) -> None:
    """An event a piece, with an odd one anywhere: `decode` holds both ways against each other."""
    speaker = SPEAKERS[api]
    plain, *odd = (
        speaker.frames(speaker.stream)[0],
        *speaker.pieces,
        *speaker.quiet,
        *speaker.idle,
        *speaker.errors,
    )
    for piece in odd:
        for place in (0, 4, 9):
            frames = [speaker.pieces[0]] * 9
            frames.insert(place, piece)
            decoded = stream(decode, api, [plain, *frames, speaker.end])
            assert len(decoded.token_ns) >= (1 if speaker.cumulative else 9)

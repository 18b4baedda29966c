"""Whatever bytes come, in whatever pieces: nothing is raised, and the answer has exactly one outcome."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from speakers import SPEAKERS

from pytest_llmserve.dialects import DIALECTS, dialect
from pytest_llmserve.dialects.json_generic import at
from pytest_llmserve.domain import exchange
from pytest_llmserve.domain.exchange import Decoded, Ending
from pytest_llmserve.domain.outcome import HTTP_4XX, HTTP_5XX, MALFORMED, OK, OUTCOMES

EVENT_STREAM = "text/event-stream"
ENDINGS = [
    exchange.COMPLETE,
    exchange.CLOSED_EARLY,
    exchange.CONNECTION_RESET,
    exchange.TIME_LIMIT,
    exchange.NOT_HTTP,
]
TYPES = [None, EVENT_STREAM, "application/json", "application/x-ndjson", "text/plain", "text/html", ";;\x00"]
MAY_BE_TEXT = (None, "text/plain", ";;\x00")
PACKED = [None, "gzip", "deflate", "br", "identity", "GZIP"]
DICTIONARY = [
    *(b"data:", b"data: ", b"event: error\n", b"[DONE]", b"\n\n", b"\r", b"\r\n", b":", b"{", b"}", b"null"),
    *(b'{"error":{"message":"x"}}', b'{"choices":[', b'"usage":{"completion_tokens":0}', b"\xff", b"\x00"),
    *(
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\\ud800",
        b"\\u0000",
        b"[" * 2000,
        b"1e999",
        b"-1",
        b'"',
        b"\x1f\x8b",
    ),
]
every_api = pytest.mark.parametrize("api", DIALECTS)
modest = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
Decode = Callable[..., Decoded]


@st.composite
def mutated(draw: st.DrawFn, stream: bytes) -> bytes:
    """A good stream with a few spans replaced, dropped or doubled."""
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(stream)))
        stop = draw(st.integers(start, min(len(stream), start + 40)))
        new = draw(st.sampled_from(DICTIONARY) | st.binary(max_size=6) | st.just(stream[start:stop] * 2))
        stream = stream[:start] + new + stream[stop:]
    return stream


@st.composite
def answers(draw: st.DrawFn, fields: tuple[str, ...]) -> bytes:
    """JSON where the API's own fields stand, with values of any type."""
    shape = st.dictionaries(st.sampled_from(fields), json_values, max_size=4)
    choices = st.lists(shape | json_values, max_size=2)
    body = draw(
        st.fixed_dictionaries({}, optional={"choices": choices, "usage": shape, "error": json_values})
    )
    return json.dumps({**body, **draw(shape)}).encode("utf-8", "replace")


def pieces_of(data: st.DataObject, body: bytes) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12), label="cuts"))
    return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def run(data: st.DataObject, api: str, body: bytes, decode: Decode) -> list[str]:
    """Decode under any status, headers and ending; the promises that the answer breaks."""
    status = data.draw(st.sampled_from([200, 200, 200, 0, 204, 302, 400, 503]), label="status")
    packing = data.draw(st.sampled_from([None, None, *PACKED]), label="encoding")
    if packing == "deflate" and data.draw(st.booleans(), label="really packed"):
        body = zlib.compress(body)
    decoded = decode(
        api,
        pieces_of(data, body),
        status=status,
        content_type=data.draw(st.sampled_from(TYPES), label="type"),
        headers=[("content-encoding", packing)] if packing else (),
        ending=Ending(data.draw(st.sampled_from(ENDINGS), label="ending"), "why"),
        **{
            **SPEAKERS[api].target,
            "json_answer": data.draw(
                st.sampled_from([None, None, "choices.0.text", "a..9"]), label="answer path"
            ),
        },
    )
    return broken(decoded, status)


def broken(decoded: Decoded, status: int) -> list[str]:
    """What holds of every answer and not of this one; [] as it should be."""
    by_status = {4: HTTP_4XX, 5: HTTP_5XX}.get(status // 100)
    ok, error = decoded.outcome == OK, decoded.error
    promises = {
        "an outcome is one of the known words": decoded.outcome in OUTCOMES,
        "an error status is the outcome, and no other answer has it": by_status
        == (decoded.outcome if decoded.outcome in (HTTP_4XX, HTTP_5XX) else None),
        "a sentence for every failure, none for ok": (error is None) == ok,
        "the sentence is one line of text": error is None or bool(error.strip() and "\n" not in error),
        "tokens are counted together with where from": (decoded.output_tokens is None)
        == (decoded.tokens_from is None),
        "no tokens are None, not 0": decoded.output_tokens is None or decoded.output_tokens > 0,
        "stamps do not go back": list(decoded.token_ns) == sorted(decoded.token_ns),
        "an answer without a token, or of another status than 2xx, is not ok": not ok
        or bool(decoded.token_ns and status < 300),
        "a report can write it": writable(decoded.text + (error or "")),
    }
    return [promise for promise, kept in promises.items() if not kept]


def writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


GOOD = Decoded(outcome=OK, text="a", token_ns=(1, 2), output_tokens=2, tokens_from="usage")


@pytest.mark.parametrize(
    ("change", "status", "promise"),
    [
        ({"outcome": "fine", "error": "x"}, 200, "one of the known words"),
        ({"outcome": HTTP_5XX, "error": "x"}, 200, "an error status is the outcome"),
        ({"outcome": MALFORMED, "error": "x"}, 400, "an error status is the outcome"),
        ({"outcome": MALFORMED}, 200, "a sentence for every failure"),
        ({"error": "x"}, 200, "a sentence for every failure"),
        ({"outcome": MALFORMED, "error": "x\ny"}, 200, "one line of text"),
        ({"outcome": MALFORMED, "error": " "}, 200, "one line of text"),
        ({"tokens_from": None}, 200, "together with where from"),
        ({"output_tokens": 0}, 200, "None, not 0"),
        ({"token_ns": (2, 1)}, 200, "do not go back"),
        ({"token_ns": ()}, 200, "without a token"),
        ({}, 302, "another status than 2xx"),
        ({"text": "\ud800"}, 200, "a report can write it"),
    ],
)
def test_an_answer_that_breaks_a_promise_is_seen(change: dict[str, Any], status: int, promise: str) -> None:
    """What the noise below is judged by does find fault."""
    assert broken(GOOD, 200) == []
    found = broken(msgspec.structs.replace(GOOD, **change), status)
    assert len(found) == 1
    assert promise in found[0]


@every_api
@modest
@given(data=st.data())
def test_any_bytes_have_one_outcome(api: str, data: st.DataObject, decode: Decode) -> None:
    """Noise is judged, never raised."""
    noise = st.lists(st.sampled_from(DICTIONARY) | st.binary(max_size=20), max_size=12).map(b"".join)
    assert run(data, api, data.draw(noise, label="body"), decode) == []


@every_api
@modest
@given(data=st.data())
def test_a_mutated_stream_has_one_outcome(api: str, data: st.DataObject, decode: Decode) -> None:
    """A stream damaged anywhere is judged, never raised."""
    assert run(data, api, data.draw(mutated(SPEAKERS[api].counted), label="body"), decode) == []


@every_api
@modest
@given(data=st.data())
def test_json_of_any_types_has_one_outcome(api: str, data: st.DataObject, decode: Decode) -> None:
    """The API's own fields with values of any type are judged, never raised."""
    fields = ("delta", "message", "content", "text", "index", "finish_reason", "completion_tokens", "done")
    body = data.draw(answers(fields), label="answer")
    if data.draw(st.booleans(), label="as an event"):
        body = b"data: " + body + b"\n\n"
    assert run(data, api, body, decode) == []


@every_api
@modest
@given(data=st.data())
def test_cuts_never_change_the_answer(api: str, data: st.DataObject, decode: Decode) -> None:
    """However a damaged stream is cut, it is the same answer as in one piece."""
    body = data.draw(mutated(SPEAKERS[api].counted), label="body")
    ending = data.draw(st.sampled_from(ENDINGS), label="ending")
    kind = data.draw(st.sampled_from(TYPES), label="type")
    how = {"content_type": kind, "ending": ending, **SPEAKERS[api].target}
    whole = decode(api, body, **how)
    cut = decode(api, pieces_of(data, body), **how)
    if api == "json" and kind in MAY_BE_TEXT:  # of plain text a piece is a chunk
        assert cut.outcome == whole.outcome
        assert cut.outcome != OK or cut.text == whole.text
    else:
        assert essence(cut) == essence(whole)


ODD_EVENTS = [
    *(b"[DONE]", b"{", b"}", b"{}", b"{} {}", b'{"choices":[]}', b"", b" ", b"null", b'{"a":[1', b"2]}"),
    *(b'{"error":{"message":"x"}}', b'{"error":""}', b'{"object":"error","message":"y"}', b'{"a":\xff}'),
]


@every_api
@modest
@given(data=st.data())
def test_events_read_together_are_the_same_answer(api: str, data: st.DataObject, decode: Decode) -> None:
    """An event a piece, the form that is read at one go, is the same answer as in one piece."""
    speaker = SPEAKERS[api]
    odd = [speaker.frame(event) for event in ODD_EVENTS]
    mostly_good = st.sampled_from([*speaker.pieces * 3, *odd])
    frames = data.draw(
        st.lists(st.sampled_from(speaker.pieces[:2]) | mostly_good, max_size=20), label="frames"
    )
    ends = st.sampled_from([speaker.frame_end] * 9 + [b"\r\n\r\n", b"\n", b"\n\n\n", b""])
    pieces = [frame.removesuffix(speaker.frame_end) + data.draw(ends) for frame in frames]
    ending = data.draw(st.sampled_from(ENDINGS), label="ending")
    how = {"content_type": speaker.content_type, "ending": ending, **speaker.target}
    decoded = decode(api, pieces, **how)
    assert broken(decoded, 200) == []
    assert essence(decoded) == essence(decode(api, b"".join(pieces), **how))


@modest
@given(prompt=st.text(st.characters(codec=None)), params=st.dictionaries(st.text(), json_values, max_size=3))
def test_any_prompt_is_written_and_read_back(prompt: str, params: dict[str, Any], make_target: Any) -> None:
    """A prompt of any characters, lone surrogates too, arrives as it was."""
    for api in DIALECTS:
        target = make_target(**{"model": "m", **SPEAKERS[api].target})
        body = json.loads(dialect(api).encode(target, prompt, {}).body.decode("utf-8"))
        assert at(body, SPEAKERS[api].prompt_at) == prompt
        top = json.loads(dialect(api).encode(target, prompt, params).body)
        assert {key: top[key] for key in params} == params


def test_noise_is_really_judged(decode: Decode) -> None:
    """The fuzz streams are good ones before they are damaged; damage is seen."""
    for api, speaker in SPEAKERS.items():
        how = {"content_type": speaker.content_type, **speaker.target}
        assert decode(api, speaker.counted, **how).outcome == OK
        assert decode(api, speaker.counted.replace(b"}", b"", 1), **how).outcome == MALFORMED


def essence(decoded: Decoded) -> tuple[Any, ...]:
    return (
        decoded.outcome,
        decoded.error,
        decoded.text,
        len(decoded.token_ns),
        decoded.output_tokens,
        decoded.finish_reason,
    )

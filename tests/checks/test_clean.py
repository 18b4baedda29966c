"""Which answers a server may give to any input: one row a rule."""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.checks.clean import answer_faults
from pytest_llmserve.domain.outcome import (
    CUT_OFF,
    HTTP_4XX,
    HTTP_5XX,
    MALFORMED,
    OK,
    REFUSED,
    RESET,
    SERVER_ERROR_IN_STREAM,
    TIMED_OUT,
)
from pytest_llmserve.domain.survival import Answered
from pytest_llmserve.domain.wrong_length import WrongLength

JSON, EVENTS = "application/json", "text/event-stream"
SENT = b'{"prompt": "hi"}'


def event(error):
    return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("outcome", "status", "content_type", "body"),
    [
        (OK, 200, JSON, b'{"choices": []}'),
        (OK, 200, EVENTS, b"data: {}\r\n\r\n: alive\n\ndata: [DONE]\n\n"),
        (OK, 200, "application/x-ndjson", b'{"a": 1}\n{"b": 2}\n'),
        (OK, 200, "text/html", b"<p>hi</p>"),
        (OK, 204, "", b""),
        (HTTP_4XX, 400, JSON, b'{"error": "no"}'),
        (HTTP_4XX, 413, "text/plain", b'"too long"'),
        (SERVER_ERROR_IN_STREAM, 200, EVENTS, event({"code": 400})),
        (SERVER_ERROR_IN_STREAM, 200, EVENTS, event({"type": "invalid_request_error"})),
    ],
)
def test_whole_answers_and_clean_refusals_are_well(outcome, status, content_type, body):
    answered = Answered(outcome=outcome, status=status, content_type=content_type, body=body)
    assert answer_faults(answered, SENT) == ()


@pytest.mark.parametrize(
    ("answered", "fault"),
    [
        (
            Answered(outcome=TIMED_OUT, error="no answer within 2 s"),
            "no full answer within the time limit (no answer within 2 s)",
        ),
        (
            Answered(outcome=RESET, error="connection reset by peer"),
            "the connection broke before the answer began (connection reset by peer)",
        ),
        (Answered(outcome=HTTP_5XX, status=500, error="500: oh no"), "it answered 500: oh no"),
        (
            Answered(outcome=CUT_OFF, status=200, error="closed after 1 token chunk"),
            "its answer 200 was not whole (closed after 1 token chunk)",
        ),
        (
            Answered(outcome=HTTP_4XX, status=400, body=b'{"a": 1}', complete=False),
            "its answer 400 was not whole",
        ),
        (Answered(outcome=MALFORMED, status=307, body=b"{}"), "it answered 307, neither 2xx nor 4xx"),
        (
            Answered(outcome=HTTP_4XX, status=400, content_type="text/plain", body=b"Invalid HTTP request"),
            "it refused with 400 in text/plain, which is no JSON: 'Invalid HTTP request'",
        ),
        (Answered(outcome=HTTP_4XX, status=400), "it refused with 400 and no body, which is no JSON"),
        (
            Answered(outcome=HTTP_4XX, status=422, content_type=JSON, body=b'{"top_k": NaN}'),
            "it refused with 422 in application/json, which is no JSON: '{\"top_k\": NaN}'",
        ),
        (
            Answered(outcome=OK, status=200, content_type=JSON, body=b'{"a": \xff}'),
            "its answer 200 holds no valid JSON: '{\"a\": \ufffd}'",
        ),
        (
            Answered(outcome=OK, status=200, content_type=EVENTS, body=b"data: {}\n\ndata: {\n\n"),
            "its answer 200 holds no valid JSON: '{'",
        ),
        (Answered(outcome=OK, status=200), "it answered 200 without a body"),
        (
            Answered(outcome=OK, status=200, content_type="text/plain", body=b"\xff\xfe"),
            "its answer 200 is not UTF-8: '\ufffd\ufffd'",
        ),
    ],
)
def test_every_other_answer_is_a_fault_in_its_own_words(answered, fault):
    assert answer_faults(answered, SENT) == (fault,)


@pytest.mark.parametrize(
    ("error", "tokens"),
    [
        ("something", 0),
        ({"message": "something"}, 0),
        ({"code": 500, "type": "invalid_request_error"}, 0),
        ({"code": 400}, 3),
    ],
)
def test_an_error_inside_a_stream_is_a_refusal_only_where_it_says_so_before_any_answer(error, tokens):
    answered = Answered(
        outcome=SERVER_ERROR_IN_STREAM,
        status=200,
        error="no",
        content_type=EVENTS,
        body=event(error),
        tokens=tokens,
    )
    assert answer_faults(answered, SENT) == ("an error inside its 200 answer (no)",)


def test_a_refusal_that_shows_a_stack_is_not_clean():
    body = json.dumps({"error": 'File "/srv/own.py", line 1'}).encode()
    answered = Answered(outcome=HTTP_4XX, status=400, content_type=JSON, body=body)
    assert answer_faults(answered, SENT) == (
        'its answer shows a Python stack: \'File "/srv/own.py", line 1"}\'',
    )


LIE = WrongLength(SENT, 100)


@pytest.mark.parametrize(
    "answered",
    [
        Answered(outcome=RESET, error="the server closed the connection"),
        Answered(outcome=TIMED_OUT, error="neither an answer nor the end of the connection"),
        Answered(outcome=MALFORMED, error="not HTTP"),
        Answered(outcome=HTTP_4XX, status=400, content_type="text/plain", body=b"Invalid HTTP request"),
        Answered(outcome=HTTP_5XX, status=501),
        Answered(outcome=CUT_OFF, status=200, body=b"{", complete=False),
        Answered(outcome=SERVER_ERROR_IN_STREAM, status=200, content_type=EVENTS, body=event({"code": 400})),
    ],
)
def test_a_body_that_lies_about_its_length_may_be_ended_in_any_way(answered):
    """What reads HTTP knows no JSON; of a body that tells the truth each would be a fault."""
    assert answer_faults(answered, LIE) == ()


@pytest.mark.parametrize(
    "answered",
    [
        Answered(outcome=HTTP_5XX, status=500, error="500: oh no"),
        Answered(outcome=REFUSED, error="connection refused"),
        Answered(outcome=SERVER_ERROR_IN_STREAM, status=200, content_type=EVENTS, body=event({"code": 500})),
        Answered(
            outcome=HTTP_4XX, status=400, content_type=JSON, body=b'{"a": "File \\"/a/b.py\\", line 1"}'
        ),
    ],
)
def test_but_not_with_an_error_of_the_servers_own(answered):
    """A 5xx, no connection, a stack: as for any other body, in the same words."""
    assert answer_faults(answered, LIE) == answer_faults(answered, SENT) != ()


TRACE = 'Traceback (most recent call last):\n  File "demo.py", line 3'
CHAT = {"choices": [{"message": {"content": TRACE, "tool_calls": [{"arguments": {"error": TRACE}}]}}]}
DELTA = {"choices": [{"delta": {"content": TRACE}}]}
EVENTS_OF_WORDS = b"data: " + json.dumps(DELTA).encode() + b"\n\n"


def good(body, content_type=JSON, **more):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answered(outcome=OK, status=200, content_type=content_type, body=body, **more)


@pytest.mark.parametrize(
    "answered",
    [
        good(CHAT),
        good(EVENTS_OF_WORDS, EVENTS),
        good({"choices": [{"text": TRACE}]}),
        good({"message": {"content": TRACE, "thinking": TRACE}}),
        good([{"generated_text": TRACE}]),
        good(TRACE),
        good({"out": {"mine": TRACE}}, text=f"See: {TRACE}"),
        good(TRACE.encode(), "text/plain"),
    ],
)
def test_a_model_may_say_what_it_likes(answered):
    """An example of a traceback is a good answer to a question about one, in whatever API."""
    assert answer_faults(answered, SENT) == ()


@pytest.mark.parametrize(
    "answered",
    [
        good({"response": "hi", "error": TRACE}, text="hi"),
        good({"response": TRACE, "error": TRACE}, text=TRACE),
        good({"choices": [{"message": {"content": "hi"}, "error": {"data": TRACE}}]}),
        good({"response": "hi", "log": ["fine", TRACE]}),
        good(EVENTS_OF_WORDS + event({"code": 400, "message": TRACE}), EVENTS),
    ],
)
def test_beside_the_model_s_words_a_good_answer_shows_nothing_of_the_inside(answered):
    [fault] = answer_faults(answered, SENT)
    assert fault.startswith("its answer shows a Python traceback: 'Traceback (most recent call last): File ")


def test_words_that_were_cut_off_are_a_model_s_still():
    """And what is no JSON in an answer that is whole is not."""
    cut = b'{"response": "' + TRACE.encode()
    for complete, shows in ((False, False), (True, True)):
        faults = answer_faults(good(cut, complete=complete), SENT)
        assert any("shows a Python traceback" in fault for fault in faults) is shows


def test_a_whole_answer_without_an_answer_in_it_is_a_fault_of_a_question():
    answered = Answered(outcome=OK, status=204, no_answer="empty answer: status 204 with no body")
    assert answer_faults(answered, SENT) == (
        "it answered 204 with what is no answer (empty answer: status 204 with no body)",
    )

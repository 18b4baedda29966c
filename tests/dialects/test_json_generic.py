"""The generic JSON dialect: templates, and answers found by path or by habit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_llmserve.dialects import dialect
from pytest_llmserve.dialects.json_generic import ANSWER_PATHS, at
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import Decoded

Decode = Callable[..., Decoded]
JSON = "application/json"
LINES = "application/x-ndjson"


def sent(make_target: Any, prompt: Any = "hi", params: Any = None, **fields: Any) -> Any:
    return json.loads(dialect("json").encode(make_target(**fields), prompt, params or {}).body)


def test_the_path_is_the_users_or_generate(make_target: Any) -> None:
    assert dialect("json").encode(make_target(), "hi", {}).path == "/generate"
    assert dialect("json").encode(make_target(path="/api/ask"), "hi", {}).path == "/api/ask"


MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("template", "prompt", "body"),
    [
        (None, "hi", {"prompt": "hi"}),
        ('{"q": "{prompt}"}', 'say "}"', {"q": 'say "}"'}),
        ('{"a": {"b": ["x {prompt} y", 1, null]}}', "hi", {"a": {"b": ["x hi y", 1, None]}}),
        ('{"q": "{prompt}", "m": "{model}"}', "{model}", {"q": "{model}", "m": "tiny"}),
        ('{"q": "{prompt}"}', MESSAGES, {"q": "be brief\nhi"}),
        ('{"chat": "{messages}"}', MESSAGES, {"chat": MESSAGES}),
        ('{"chat": "{messages}"}', "hi", {"chat": [{"role": "user", "content": "hi"}]}),
        ('["{prompt}"]', "hi", ["hi"]),
        ('{"{prompt}": "{prompt}", "other": "{other}"}', "hi", {"{prompt}": "hi", "other": "{other}"}),
    ],
)
def test_the_template_is_filled_in_its_texts(
    template: str | None, prompt: Any, body: Any, make_target: Any
) -> None:
    assert sent(make_target, prompt, json_request=template, model="tiny") == body


def test_parameters_lie_on_top_of_the_template(make_target: Any) -> None:
    template = '{"prompt": "{prompt}", "n": 1}'
    assert sent(make_target, params={"n": 2, "k": 3}, json_request=template) == {
        "prompt": "hi",
        "n": 2,
        "k": 3,
    }


def test_filling_leaves_the_template_as_it_was(make_target: Any) -> None:
    template = '{"prompt": "{prompt}"}'
    sent(make_target, params={"k": 3}, json_request=template)
    assert sent(make_target, json_request=template) == {"prompt": "hi"}


LIKE = """write it like '{"prompt": "{prompt}"}'"""


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            '{"prompt": {prompt}}',
            "--llm-json-request is not JSON: Expecting property name enclosed in double quotes"
            f" at line 1 column 13 of '{{\"prompt\": {{prompt}}}}'; {LIKE}",
        ),
        (
            '{"prompt": "hi"}',
            f'--llm-json-request has no "{{prompt}}" in any of its texts: \'{{"prompt": "hi"}}\'; {LIKE}',
        ),
        (
            '{"a": "{promt}"}',
            '--llm-json-request has no "{prompt}" in any of its texts: \'{"a": "{promt}"}\';'
            f" did you mean it by {{promt}}? {LIKE}",
        ),
        (
            '{"chat": "all {messages}"}',
            '--llm-json-request has no "{prompt}" in any of its texts: '
            f'\'{{"chat": "all {{messages}}"}}\'; {LIKE}',
        ),
        ("[" * 100_000, f"--llm-json-request is nested too deep; {LIKE}"),
        (
            '{"prompt": "{prompt}", "model": "{model}"}',
            '--llm-json-request has a "{model}", but no model is known: give --llm-model',
        ),
        (
            '["{prompt}"]',
            "--llm-json-request is not an object: no place for the parameters max_tokens",
        ),
    ],
)
def test_a_template_that_cannot_work_is_the_users_fault(
    template: str, message: str, make_target: Any
) -> None:
    with pytest.raises(SetupError) as caught:
        sent(make_target, json_request=template, params={"max_tokens": 1})
    assert str(caught.value) == message


@pytest.mark.parametrize("path", ANSWER_PATHS)
def test_the_answer_is_found_at_every_usual_place(path: str, decode: Decode) -> None:
    value: Any = "found"
    for step in reversed(path.split(".")):
        value = [value] if step.isdecimal() else {step: value}
    decoded = decode("json", json.dumps(value).encode(), content_type=JSON)
    assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", "found", 1)


@pytest.mark.parametrize(
    ("body", "path", "text"),
    [
        ('"bare"', None, "bare"),
        ('{"text": "", "output": "x"}', None, "x"),
        ('{"a": {"b": ["x", "y"]}}', "a.b.1", "y"),
        ('{"a": {"0": "x"}}', "a.0", "x"),
        ('{"label": 3.5}', "label", "3.5"),
        ('{"label": true}', "label", "true"),
        ('{"response": "no", "mine": "yes"}', "mine", "yes"),
        ('{"response": "yes", "error": ""}', None, "yes"),
    ],
)
def test_the_answer_is_taken_as_text(body: str, path: str | None, text: str, decode: Decode) -> None:
    decoded = decode("json", body.encode(), content_type=JSON, json_answer=path)
    assert (decoded.outcome, decoded.text) == ("ok", text)


@pytest.mark.parametrize(
    ("body", "path", "error"),
    [
        (
            '{"id": 1, "said": "x"}',
            None,
            "no answer at any usual place: the server sent the keys id, said; give --llm-json-answer",
        ),
        (
            '{"id": 1}',
            "choices.0.text",
            "no answer at 'choices.0.text': the server sent the keys id; give --llm-json-answer",
        ),
        (
            "[1, 2]",
            "5",
            "no answer at '5': the server sent a list of 2; give --llm-json-answer",
        ),
        (
            "null",
            None,
            "no answer at any usual place: the server sent a bare null; give --llm-json-answer",
        ),
        (
            '{"a": {"b": 1, "c": 2}}',
            "a",
            "the answer at 'a' is the keys b, c, not a text: give --llm-json-answer",
        ),
        ('{"response": ""}', None, "empty answer: status 200 with no text, reasoning or tool call"),
        (
            json.dumps(dict.fromkeys("abcdefghijkl")),
            None,
            "no answer at any usual place: the server sent the keys a, b, c, d, e, f, g, h, i, j, ...;"
            " give --llm-json-answer",
        ),
    ],
)
def test_an_answer_that_is_not_there_is_malformed(
    body: str, path: str | None, error: str, decode: Decode
) -> None:
    decoded = decode("json", body.encode(), content_type=JSON, json_answer=path)
    assert (decoded.outcome, decoded.error) == ("malformed", error)


@pytest.mark.parametrize(
    ("field", "count"),
    [
        ('"usage": {"completion_tokens": 7}', 7),
        ('"usage": {"output_tokens": 7}', 7),
        ('"eval_count": 7', 7),
        ('"usage": {"completion_tokens": 0}', None),
        ('"usage": {"completion_tokens": true}', None),
        ('"usage": "lots"', None),
    ],
)
def test_the_servers_count_is_taken_where_it_is_plain(field: str, count: int | None, decode: Decode) -> None:
    decoded = decode("json", f'{{"text": "x", {field}}}'.encode(), content_type=JSON)
    assert (decoded.output_tokens, decoded.tokens_from) == (count, "usage" if count else None)


def test_lines_of_chat_are_read(decode: Decode) -> None:
    body = (
        b'{"message":{"role":"assistant","content":"a"},"done":false}\n\n'
        b'{"message":{"role":"assistant","content":"b"},"done":false}\n'
        b'{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":5}'
    )
    decoded = decode("json", body, content_type=LINES)
    assert (decoded.outcome, decoded.text, decoded.output_tokens) == ("ok", "ab", 5)
    assert (decoded.finish_reason, len(decoded.token_ns)) == ("stop", 2)


def test_lines_without_their_done_were_cut(decode: Decode) -> None:
    body = b'{"response":"a","done":false}\n{"response":"b","done":false}\n'
    decoded = decode("json", body, content_type=LINES)
    assert (decoded.outcome, decoded.error) == (
        "cut_off",
        "the stream ended without a finish_reason or an end mark, after 2 token chunks",
    )


def test_a_stream_whose_events_promise_no_end_mark_needs_none(decode: Decode) -> None:
    decoded = decode("json", b'data: {"delta":"a"}\n\ndata: {"delta":"b"}\n\n')
    assert (decoded.outcome, decoded.text) == ("ok", "ab")


def test_events_may_be_bare_strings(decode: Decode) -> None:
    assert decode("json", b'data: "a"\n\ndata: "b"\n\n').text == "ab"


def test_the_place_of_the_text_is_kept_through_a_stream(decode: Decode) -> None:
    body = b'data: {"text":""}\n\ndata: {"delta":"a"}\n\ndata: {"delta":"b","text":"whole"}\n\n'
    decoded = decode("json", body, json_answer="delta")
    assert (decoded.outcome, decoded.text) == ("ok", "ab")


def test_the_place_of_the_first_text_holds_for_the_stream(decode: Decode) -> None:
    """A last event that repeats the whole answer elsewhere does not double it."""
    body = (
        b'data: {"token":{"text":"a"}}\n\ndata: {"token":{"text":"b"}}\n\ndata: {"generated_text":"ab"}\n\n'
    )
    decoded = decode("json", body)
    assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", "ab", 2)


def test_a_place_that_was_named_goes_before_the_usual_ones(decode: Decode) -> None:
    body = b'data: {"mine":"a","text":"no"}\n\ndata: {"text":"no"}\n\n'
    decoded = decode("json", body, json_answer="mine")
    assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", "a", 1)


def test_events_before_the_first_text_do_not_matter(decode: Decode) -> None:
    body = b'data: {"event":"start"}\n\ndata: {"token":"a"}\n\ndata: {"event":"end"}\n\n'
    decoded = decode("json", body)
    assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", "a", 1)


def test_a_stream_without_the_answer_names_what_came(decode: Decode) -> None:
    decoded = decode("json", b'data: {"piece":"a"}\n\ndata: {"piece":"b"}\n\n')
    assert (decoded.outcome, decoded.error) == (
        "malformed",
        "no answer at any usual place: the server sent the keys piece; give --llm-json-answer",
    )


@pytest.mark.parametrize("path", ["a.9", "a.-1", "a.x", "b", "a.0.c.d", ""])
def test_a_path_that_leads_nowhere_finds_nothing(path: str) -> None:
    assert at({"a": [{"c": 1}]}, path) is None


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ('{"system": "{system}", "q": "{prompt}"}', {"system": "be brief", "q": "hi"}),
        ('{"system": "{system}", "chat": "{messages}"}', {"system": "be brief", "chat": MESSAGES[1:]}),
        ('{"q": "[{system}] {prompt}", "n": 1.50}', {"q": "[be brief] hi", "n": 1.5}),
    ],
)
def test_a_system_prompt_has_a_place_of_its_own(template: str, body: Any, make_target: Any) -> None:
    assert sent(make_target, MESSAGES, json_request=template) == body


def test_without_a_system_prompt_its_place_is_empty(make_target: Any) -> None:
    template = '{"system": "{system}", "q": "{prompt}"}'
    assert sent(make_target, "{system}", json_request=template) == {"system": "", "q": "{system}"}


@pytest.mark.parametrize(
    ("body", "path", "text"),
    [
        ('{"label": "positive", "score": 0.98}', None, "positive"),
        ('{"label": "positive", "score": 0.98}', "score", "0.98"),
        ('[{"label": "NEGATIVE", "score": 0.5}]', None, "NEGATIVE"),
        ('[[{"label": "LABEL_1", "score": 0.5}]]', None, "LABEL_1"),
        ('{"answer": 42}', None, "42"),
        ('{"result": 0.5, "id": 7}', None, "0.5"),
        ("42", None, "42"),
        ('{"predictions": ["a"]}', None, "a"),
        ('{"output": ["one", " two"]}', None, "one two"),
        ('{"output": ["one", " two"]}', "output", "one two"),
        ('{"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}', None, "ab"),
        ('["a", "b"]', None, "a"),
        ('{"text": "", "token": 5, "output": ["x"]}', None, "x"),
        ('{"response": "yes", "detail": "cached", "success": true}', None, "yes"),
        ('{"response": "yes", "errors": [{"offset": 3, "message": "a comma"}]}', None, "yes"),
        ('{"label": "error", "score": 0.9}', None, "error"),
        ('{"error": "b"}', "error", "b"),
        ('{"status": "failed"}', "status", "failed"),
        ('{"type": "error"}', "type", "error"),
        ('{"exception": {"name": "KeyError"}}', "exception.name", "KeyError"),
    ],
)
def test_answers_of_other_shapes_are_taken_too(
    body: str, path: str | None, text: str, decode: Decode
) -> None:
    decoded = decode("json", body.encode(), content_type=JSON, json_answer=path)
    assert (decoded.outcome, decoded.text) == ("ok", text)


NO_ERROR = [
    *('"error": null', '"error": ""', '"error": {}', '"error": false', '"error": "None"', '"error": 0.03'),
    *('"error": {"code": 0, "message": ""}', '"errors": []', '"exception": null', '"error_message": " "'),
    *(
        '"detail": "cached"',
        '"status": "ok"',
        '"status": "completed"',
        '"type": "message"',
        '"object": "text"',
    ),
    *('"success": true', '"success": null', '"message": "done"'),
]


@pytest.mark.parametrize("field", NO_ERROR)
def test_what_is_no_error_beside_an_answer(field: str, decode: Decode) -> None:
    """Servers write the field all the same where nothing is wrong; in a body and in the last line."""
    body = f'{{"text": "b", {field}}}'.encode()
    assert decode("json", body, content_type=JSON).outcome == "ok"
    decoded = decode("json", [b'{"text": "a"}\n', body], content_type=LINES)
    assert (decoded.outcome, decoded.text) == ("ok", "ab")


@pytest.mark.parametrize(
    ("last", "error"),
    [
        ({"error": "OOM", "text": "worker crashed", "done": True}, "OOM"),
        ({"error": True, "text": "x", "message": "OOM"}, "OOM"),
        ({"error_message": "OOM", "text": "x"}, "OOM"),
        ({"success": False, "result": "not loaded"}, '{"success": false, "result": "not loaded"}'),
        ({"status": "error", "text": "x", "msg": "OOM"}, "OOM"),
        ({"type": "error", "message": "OOM"}, "OOM"),
        ({"type": "error", "text": "OOM"}, '{"text": "OOM"}'),
        ({"object": "error", "message": "OOM", "code": 500}, "OOM"),
        ({"errors": [{"message": "OOM"}]}, "OOM"),
        ({"exception": "RuntimeError"}, "RuntimeError"),
        ({"detail": "OOM"}, "OOM"),
    ],
)
def test_an_error_is_one_whatever_stands_beside_it(last: Any, error: str, decode: Decode) -> None:
    """Behind tokens too, and its text is no part of the answer."""
    end = json.dumps(last).encode()
    decoded = decode("json", [b'{"text": "a"}\n', end], content_type=LINES)
    assert (decoded.outcome, decoded.error, decoded.text) == ("server_error_in_stream", error, "a")
    body = decode("json", end, content_type=JSON)
    assert (body.outcome, body.error, body.text) == ("server_error_in_stream", error, "")
    assert decode("json", end, content_type=JSON, json_answer="mine").error == error


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"detail": "model is not loaded"}', "model is not loaded"),
        ('{"detail": [{"loc": ["body", "prompt"], "msg": "Field required"}]}', "body.prompt: Field required"),
        ('{"error": "busy", "response": null}', "busy"),
        ('{"status": "error", "message": "busy"}', "busy"),
        ('{"success": false, "msg": "busy"}', "busy"),
    ],
)
def test_an_error_with_status_200_is_an_error(body: str, error: str, decode: Decode) -> None:
    decoded = decode("json", body.encode(), content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("server_error_in_stream", error)


def test_a_stream_of_all_text_so_far_is_told_as_what_is_new(decode: Decode) -> None:
    """As servers do that were written for a page which shows the whole each time."""
    events = [
        b'data: {"text": %s}\n\n' % json.dumps(text).encode() for text in ("a", "ab", "abc", "abc", "abcd")
    ]
    decoded = decode("json", events)
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", "abcd", (1000, 1001, 1002, 1004))
    assert decode("json", [b'data: "a"\n\n', b'data: "ab"\n\n']).text == "aab", "two may be chance"


TEXT = "text/plain; charset=utf-8"
CAFE = "Caf\u00e9 \u2028[1a2b] ".encode()


@pytest.mark.parametrize("content_type", [TEXT, "text/markdown", None])
def test_plain_text_is_an_answer_and_each_piece_a_chunk(content_type: str | None, decode: Decode) -> None:
    """FastAPI's StreamingResponse, which without a media type has no Content-Type at all."""
    decoded = decode("json", [b"d", b"ear ", CAFE[:4], CAFE[4:], b" ", b"[DONE]"], content_type=content_type)
    assert (decoded.outcome, decoded.text) == ("ok", "dear " + CAFE.decode() + " [DONE]")
    assert decoded.token_ns == (1001, 1002, 1003, 1004, 1005)
    assert (decoded.output_tokens, decoded.tokens_from) == (5, "estimated")


@pytest.mark.parametrize("body", [b"positive", b"dat", b" da", b'"Yes," it said.', b"[1] See there."])
def test_plain_text_of_known_length_is_one_answer(body: bytes, decode: Decode) -> None:
    """FastAPI's PlainTextResponse: no more is known than when it was all there."""
    length = [("content-length", str(len(body)))]
    decoded = decode("json", [body[:1], body[1:]], content_type=TEXT, headers=length)
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", body.decode(), (1001,))
    assert decoded.output_tokens is None


@pytest.mark.parametrize(
    ("body", "ending", "outcome", "error"),
    [
        (b"", "complete", "malformed", "empty answer: status 200 with no body"),
        (b" \n", "complete", "malformed", "empty answer: status 200 with no text, reasoning or tool call"),
        (b"Caf\xff", "complete", "malformed", "the text is not UTF-8: invalid start byte"),
        (b"Caf\xc3", "complete", "cut_off", "the text ended inside a character"),
        (
            b"Caf",
            "closed_early",
            "cut_off",
            "the connection was closed in the middle of the answer, after 1 token chunk",
        ),
        (b'{"detail": "busy"}', "complete", "server_error_in_stream", "busy"),
    ],
)
def test_what_plain_text_cannot_be(
    body: bytes, ending: str, outcome: str, error: str, decode: Decode
) -> None:
    decoded = decode("json", body, content_type=TEXT, ending=ending)
    assert (decoded.outcome, decoded.error) == (outcome, error)


@pytest.mark.parametrize(
    "body",
    [
        b"id: 5\nis the answer",
        b":) hello",
        b"data: is plural\nof datum",
        b"{x} is a set",
        b"{ }x",
        b'{"name": "Bob"}',
        b'{"name": "Bob"}\nis JSON',
        b'{"name":\n"Bob"} is JSON',
        b'{"name": ',
    ],
)
def test_text_that_begins_like_another_form_is_text(body: bytes, decode: Decode) -> None:
    """Called text, it is so as soon as it has that form no more; each piece at its stamp."""
    for cut in range(1, len(body)):
        decoded = decode("json", [body[:cut], body[cut:]], content_type=TEXT)
        assert (decoded.outcome, decoded.text) == ("ok", body.decode()), cut
    assert decode("json", [body, b" a", b" b"], content_type=TEXT).token_ns == (1000, 1001, 1002)


@pytest.mark.parametrize(
    ("body", "outcome", "text"),
    [
        (b'{"text": "a"}', "ok", "a"),
        (b'{"text": "a"}\n{"text": "b"}\n', "ok", "ab"),
        (b'{\n"text": "a"\n}', "ok", "a"),
        (b'data: {"text": "a"}\n\ndata: {"text": "b"}\n\n', "ok", "ab"),
        (b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n", "ok", "ab"),
        (b": ping\n\n", "malformed", ""),
        (b'{"error": "OOM"}', "server_error_in_stream", ""),
    ],
)
def test_what_is_called_text_and_has_another_form_is_that(
    body: bytes, outcome: str, text: str, decode: Decode
) -> None:
    for pieces in ([body], [body[k : k + 1] for k in range(len(body))]):
        decoded = decode("json", pieces, content_type=TEXT)
        assert (decoded.outcome, decoded.text) == (outcome, text)


@pytest.mark.parametrize("body", [b"\n<!DOCTYPE html><title>Bad gateway</title>", b"<html><p>Bad gateway"])
def test_a_page_without_a_type_is_no_answer(body: bytes, decode: Decode) -> None:
    """Called text it is one: somebody may have asked for a page."""
    for cut in range(len(body)):
        decoded = decode("json", [body[:cut], body[cut:]], content_type=None)
        assert (decoded.outcome, decoded.error) == (
            "malformed",
            f"neither an event stream nor JSON (no Content-Type): {body.strip().decode()!r}",
        )
    assert decode("json", body, content_type=TEXT).outcome == "ok"
    assert decode("json", [b"<", b"htm"], content_type=None).text == "<htm"


def test_text_is_no_answer_where_a_place_in_json_was_named(decode: Decode) -> None:
    decoded = decode("json", b"hello", content_type=TEXT, json_answer="label")
    assert (decoded.outcome, decoded.error) == (
        "malformed",
        "neither an event stream nor JSON (text/plain; charset=utf-8): 'hello'",
    )
    event = decode("json", b"data: hello\n\n", json_answer="label")
    assert event.outcome == "malformed"


def test_events_may_hold_words_as_they_are(decode: Decode) -> None:
    """Small servers write "data: word"; a word may look like a number, or begin like a list."""
    words = [b"[1a2b]", b" one", b" 2", b"null", b'"', b" {x}"]
    decoded = decode("json", [b"data: " + word + b"\n\n" for word in words] + [b"data: [DONE]\n\n"])
    assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", b"".join(words).decode(), 6)
    assert decode("json", b'data: a\n\ndata: {"error": "busy"}\n\n').error == "busy"
    assert decode("json", b"data: a\xff\n\n").outcome == "malformed"


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", None])
def test_lines_that_are_called_json_are_lines(content_type: str | None, decode: Decode) -> None:
    """FastAPI's StreamingResponse(media_type="application/json"); each token at its own stamp."""
    lines = [b'{"text": "a"}\n', b'{"text": "b"}\r\n', b'{"text"', b': "c"}\n', b'{"text": "d"}']
    decoded = decode("json", lines, content_type=content_type)
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", "abcd", (1000, 1001, 1003, 1004))
    assert decode("json", b"".join(lines), content_type=content_type).text == "abcd"


@pytest.mark.parametrize("body", [b'{"text": "a"}\n', b'{\n "text":\n\n "a"\n}\n', b' {"text": "a"}\r\n\r\n'])
def test_one_json_on_lines_is_one_answer(body: bytes, decode: Decode) -> None:
    for pieces in ([body], [body[k : k + 1] for k in range(len(body))]):
        decoded = decode("json", pieces, content_type=JSON)
        assert (decoded.outcome, decoded.text, decoded.output_tokens) == ("ok", "a", None)
        assert decoded.token_ns == (999 + len(pieces),)

"""`gradio`: two exchanges or one, texts that grow or are written anew, chats, errors without a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_llmserve.dialects.gradio import Gradio
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import Decoded

Decode = Callable[..., Decoded]
JSON = "application/json"
KEPT_BACK = (
    "the function failed and the server gave no reason: see its log, or start the app with"
    " launch(show_error=True)"
)


def events(*said: tuple[str, Any]) -> list[bytes]:
    return [f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in said]


@pytest.mark.parametrize(
    ("path", "sent_to"),
    [
        ("", "/gradio_api/call/predict"),
        ("/app/gradio_api", "/app/gradio_api/call/predict"),
        ("/call", "/call/predict"),
        ("/gradio_api/call/chat", "/gradio_api/call/chat"),
        ("/gradio_api/call/v2/chat", "/gradio_api/call/v2/chat"),
        ("/run/predict", "/run/predict"),
        ("/run", "/run"),
        ("/api/predict", "/api/predict"),
    ],
)
def test_the_path_of_the_url_names_the_function(path: str, sent_to: str, make_target: Any) -> None:
    """As it stands; a bare host and a bare prefix mean the function of gr.Interface."""
    request = Gradio().encode(make_target(path=path), "hi", {})
    assert (request.method, request.path, request.body) == ("POST", sent_to, b'{"data":["hi"]}')


def test_a_template_says_what_the_function_takes(make_target: Any) -> None:
    """The prompt in its place among the parameters; params stand beside `data`."""
    target = make_target(json_request='{"data": [[], {"text": "{prompt}", "files": []}, 64]}')
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    body = json.loads(Gradio().encode(target, messages, {"session_hash": "s"}).body)
    assert body == {"data": [[], {"text": "be brief\nhi", "files": []}, 64], "session_hash": "s"}
    apart = make_target(json_request='{"data": ["{prompt}", null, "{system}"]}')
    assert json.loads(Gradio().encode(apart, messages, {}).body) == {"data": ["hi", None, "be brief"]}


@pytest.mark.parametrize(
    ("template", "error"),
    [
        (
            '["{prompt}"]',
            "--llm-json-request is a list of 1: Gradio wants an object; write it like"
            ' \'{"data": ["{prompt}"]}\'',
        ),
        (
            '{"data": []}',
            '--llm-json-request has no "{prompt}" in any of its texts: \'{"data": []}\'; write it like'
            ' \'{"data": ["{prompt}"]}\'',
        ),
    ],
)
def test_a_wrong_template_is_the_users_fault(template: str, error: str, make_target: Any) -> None:
    with pytest.raises(SetupError) as caught:
        Gradio().encode(make_target(json_request=template), "hi", {})
    assert str(caught.value) == error


def test_an_order_is_followed_by_its_fetch(make_target: Any) -> None:
    """By GET below the same path; version 2 of the order is fetched where version 1 is."""
    ordered = b'{"event_id":"11317148d750428fb1e6e052374abb97"}'
    for path in ("/gradio_api/call/chat", "/gradio_api/call/v2/chat"):
        request = Gradio().next_request(make_target(path=path), path, 200, ordered)
        assert request is not None
        assert (request.method, request.body) == ("GET", b"")
        assert request.path == "/gradio_api/call/chat/11317148d750428fb1e6e052374abb97"


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/run/chat", 200, b'{"event_id":"1"}'),
        ("/call/chat", 503, b'{"event_id":"1"}'),
        ("/call/chat", 200, b'{"data":["done"]}'),
        ("/call/chat", 200, b"not json"),
        ("/call/chat", 200, b'["event_id"]'),
        ("/call/chat", 200, b'{"event_id":7}'),
        ("/call/chat", 200, b'{"event_id":""}'),
        ("/call/chat", 200, b'{"event_id":"../../shutdown"}'),
        ("/call/chat", 200, b'{"event_id":"http://other/"}'),
        ("/call/chat", 200, b'{"event_id":"a b"}'),
        ("/call/chat", 200, b'{"event_id":"a\\r\\nX: y"}'),
        ("/call/chat", 200, b'{"event_id":"a\\n"}'),
        ("/call/chat", 200, b'{"event_id":"%2e%2e"}'),
        ("/call/chat", 200, b'{"event_id":"?a"}'),
        ("/call/chat", 200, b'{"event_id":"' + b"a" * 129 + b'"}'),
    ],
)
def test_nothing_else_is_fetched(path: str, status: int, body: bytes, make_target: Any) -> None:
    """A server cannot make us ask for another path or host."""
    assert Gradio().next_request(make_target(path=path), path, status, body) is None


@pytest.mark.parametrize(
    ("body", "outcome", "error"),
    [
        (
            b'{"event_id":"../x"}',
            "malformed",
            "the event_id '../x' has more than letters, digits, '-' and '_': no answer is fetched by it",
        ),
        (
            b'{"event_id":"ab"}',
            "malformed",
            "the server took the order (event_id 'ab'), but its answer is not fetched: that takes a path with"
            " /call/, and an order that is answered uncompressed",
        ),
        (b'{"error":"planted","duration":10}', "server_error_in_stream", "planted"),
        (b'{"error":null}', "server_error_in_stream", KEPT_BACK),
        (
            b'{"data":["t0 "],"is_generating":true,"duration":0.3}',
            "cut_off",
            "only the first part of an answer that is generated bit by bit (is_generating is true): /run and"
            " /api do not wait for the rest, a path with /call/ does",
        ),
        (
            b'{"detail":"Not Found"}',
            "malformed",
            "no answer at 'data.0': the server sent the keys detail; give --llm-json-answer the path of the"
            " one that is a text",
        ),
        (
            b'{"data":["",[["hi","you"]]]}',
            "malformed",
            "no answer at 'data.0': the server sent a list of 2; give --llm-json-answer data.1",
        ),
        (
            b'{"data":[{"path":"/tmp/a.png","url":null}]}',
            "malformed",
            "the answer at 'data.0' is the keys path, url, neither a text nor a chat: give --llm-json-answer",
        ),
    ],
)
def test_a_body_that_is_no_answer_says_what_it_is(
    body: bytes, outcome: str, error: str, decode: Decode
) -> None:
    decoded = decode("gradio", body, content_type=JSON)
    assert (decoded.outcome, decoded.error) == (outcome, error)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("null", KEPT_BACK),
        ('{"error": null}', KEPT_BACK),
        ('{"error": "planted gr.Error", "duration": 10, "title": "Error"}', "planted gr.Error"),
        ('"404: Session not found."', "404: Session not found."),
    ],
)
def test_an_error_inside_a_200_is_the_servers_whatever_it_tells(data: str, text: str, decode: Decode) -> None:
    """Gradio 3 to 5 tell nothing, 6 tells what gr.Error says."""
    decoded = decode("gradio", [*events(("generating", ["t0 "])), f"event: error\ndata: {data}\n\n".encode()])
    assert (decoded.outcome, decoded.error, decoded.text) == ("server_error_in_stream", text, "t0 ")


@pytest.mark.parametrize(
    ("said", "text", "stamps"),
    [
        (["a", "ab", "ab", "abc"], "abc", (1000, 1001, 1003)),
        (["Thinking...", "Yes", "Yes, I do"], "Yes, I do", (1000, 1001, 1002)),
        (["a▌", "ab▌", "ab"], "ab", (1000, 1001)),
        (["abc", "ab"], "ab", (1000,)),
        (["", None, "a"], "a", (1002,)),
        ([[], [["hi", None]], [["hi", "a"]], [["hi", "ab"]]], "ab", (1002, 1003)),
        ([0.5], "0.5", (1000,)),
        ([{"label": "POSITIVE", "confidences": []}], "POSITIVE", (1000,)),
        ([{"__type__": "update"}, {"__type__": "update", "value": "a"}], "a", (1001,)),
        ([{"text": "a", "files": []}], "a", (1000,)),
    ],
)
def test_a_token_is_what_a_text_grows_by(
    said: list[Any], text: str, stamps: tuple[int, ...], decode: Decode
) -> None:
    """Written anew is a token too, taking away is none, nor is a cursor; the last text is the answer."""
    stream = events(*(("generating", [one]) for one in said), ("complete", [said[-1]]))
    decoded = decode("gradio", stream)
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", text, stamps)


def test_outputs_that_are_an_error_are_no_answer(decode: Decode) -> None:
    """In the event that ends a stream, and beside the data of a body; null is none."""
    failed = events(("generating", ["a"]), ("complete", {"success": False, "error": "OOM"}))
    decoded = decode("gradio", failed)
    assert (decoded.outcome, decoded.error, decoded.text) == ("server_error_in_stream", "OOM", "a")
    beside = decode("gradio", b'{"data":["Error: OOM"],"error":"OOM"}', content_type=JSON)
    assert (beside.outcome, beside.error) == ("server_error_in_stream", "OOM")
    assert decode("gradio", b'{"data":["fine"],"error":null}', content_type=JSON).text == "fine"


USER, BOT = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}


@pytest.mark.parametrize(
    ("history", "text"),
    [
        ([USER, BOT], "yes"),
        ([BOT, USER, {"role": "assistant", "content": [{"type": "text", "text": "no"}]}], "no"),
        ([USER, {"role": "assistant", "content": ["a", {"type": "image", "url": "x"}, "b"]}], "ab"),
        ([USER, BOT, {"role": "assistant", "content": {"path": "a.png"}}], "yes"),
        ([["hi", "yes"], ["so", "no"]], "no"),
        (BOT, "yes"),
    ],
)
def test_the_answer_of_a_chat_is_the_last_of_it(history: Any, text: str, decode: Decode) -> None:
    """In pairs or messages, as texts or parts; at the place that was named."""
    stream = events(("complete", ["", history]))
    decoded = decode("gradio", stream, json_answer="data.1")
    assert (decoded.outcome, decoded.text) == ("ok", text)


def test_a_chat_that_ends_with_the_user_is_not_answered_yet(decode: Decode) -> None:
    """The answer before it is no answer to this."""
    for history in ([BOT, USER], [["hi", "yes"], ["so", None]]):
        decoded = decode("gradio", events(("complete", [history])))
        assert (decoded.outcome, decoded.says_nothing) == ("malformed", True)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (b'data: ["a"]\n\n', "event 1: no name, where Gradio has generating, complete or error: '[\"a\"]'"),
        (
            b"event: generating\ndata: [[1, 2, 3]]\n\n",
            "event 1: the answer at 'data.0' is a list of 3, neither a text nor a chat: give"
            " --llm-json-answer",
        ),
    ],
)
def test_events_of_another_form_are_malformed(event: bytes, error: str, decode: Decode) -> None:
    decoded = decode("gradio", [event, *events(("complete", ["a"]))])
    assert (decoded.outcome, decoded.error) == ("malformed", error)


def test_a_path_without_an_output_is_said_at_the_end(decode: Decode) -> None:
    decoded = decode("gradio", events(("generating", ["a"]), ("complete", ["a"])), json_answer="data.7")
    assert (decoded.outcome, decoded.error) == (
        "malformed",
        "no answer at 'data.7': the server sent a list of 1; give --llm-json-answer data.0",
    )

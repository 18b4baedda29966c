"""OpenAI's responses: requests, and answers as the API reference and real servers have them.

https://platform.openai.com/docs/api-reference/responses and .../responses-streaming
"""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.dialects import dialect
from pytest_llmserve.domain.errors import SetupError

JSON = "application/json"
FAILED = {
    "id": "resp_123",
    "object": "response",
    "created_at": 1740855869,
    "status": "failed",
    "error": {"code": "server_error", "message": "The model failed to generate a response."},
    "incomplete_details": None,
    "output": [],
    "usage": None,
}


def sent(make_target, prompt, params=None, **fields):
    request = dialect("openai-responses").encode(make_target(**fields), prompt, params or {})
    return request, json.loads(request.body)


def event(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': 1, **fields})}\n\n".encode()


def delta(text):
    return event("response.output_text.delta", item_id="msg_123", output_index=0, content_index=0, delta=text)


@pytest.mark.parametrize(
    ("path", "sent_to"),
    [
        ("", "/v1/responses"),
        ("/v1", "/v1/responses"),
        ("/openai/v1", "/openai/v1/responses"),
        ("/v1/responses", "/v1/responses"),
        ("/my/responses", "/my/responses"),
        ("/v1/chat/completions", "/v1/responses"),
    ],
)
def test_the_path_gets_what_it_lacks(make_target, path, sent_to):
    assert sent(make_target, "hi", path=path)[0].path == sent_to


def test_a_responses_url_has_neighbours(make_target):
    """The other OpenAI APIs find their own path from it."""
    target = make_target(path="/v1/responses")
    assert dialect("openai-chat").encode(target, "hi", {}).path == "/v1/chat/completions"


@pytest.mark.parametrize("stream", [True, False])
def test_the_request_has_the_fewest_fields(make_target, stream):
    request, body = sent(make_target, "Tell me.", {"max_output_tokens": 16}, model="gpt-4.1", stream=stream)
    asked = {"stream": True} if stream else {}
    assert body == {"model": "gpt-4.1", "input": "Tell me.", "max_output_tokens": 16, **asked}
    accepted = "text/event-stream, application/json" if stream else "application/json"
    assert ("Accept", accepted) in request.headers


def test_messages_are_items_in_this_apis_words(make_target):
    """An answer of before in full, as llama.cpp and older vLLM want it; the user's own items as they are."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    own = {"type": "function_call_output", "call_id": "call_1", "output": "5"}
    prompt = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]},
        {"role": "assistant", "content": "A cat."},
        {"role": "assistant", "content": [{"type": "text", "text": "Or a dog."}]},
        own,
        {"role": "user", "content": [{"type": "input_file", "file_id": "f"}]},
    ]
    said = {"type": "message", "status": "completed", "role": "assistant"}
    assert sent(make_target, prompt)[1]["input"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is it?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
            ],
        },
        {**said, "id": "msg_2", "content": [{"type": "output_text", "text": "A cat.", "annotations": []}]},
        {**said, "id": "msg_3", "content": [{"type": "output_text", "text": "Or a dog.", "annotations": []}]},
        own,
        {"role": "user", "content": [{"type": "input_file", "file_id": "f"}]},
    ]


def test_a_parameter_that_cannot_be_written_is_the_users_fault(make_target):
    with pytest.raises(SetupError):
        sent(make_target, "hi", {"metadata": {1, 2}})


@pytest.mark.parametrize(
    ("end", "finish", "tokens"),
    [
        ({"status": "completed", "usage": {"input_tokens": 3, "output_tokens": 9}}, "completed", 9),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "max_output_tokens",
            2,
        ),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter", 2),
        ({}, "completed", 2),
    ],
)
def test_the_last_event_says_why_and_how_many(decode, end, finish, tokens):
    """And repeats the whole answer, which is not said twice."""
    output = [{"type": "message", "content": [{"type": "output_text", "text": "In the"}]}]
    last = event(f"response.{end.get('status', 'completed')}", response={**end, "output": output})
    decoded = decode("openai-responses", [delta("In"), delta(" the"), last])
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", "In the", (1000, 1001))
    assert (decoded.finish_reason, decoded.output_tokens) == (finish, tokens)


def test_an_answer_that_only_the_last_event_tells_is_an_answer(decode):
    """Some gateways stream nothing but the beginning and the end."""
    output = [{"type": "message", "content": [{"type": "output_text", "text": "In the"}]}]
    created = event("response.created", response={"status": "in_progress", "output": []})
    last = event("response.completed", response={"status": "completed", "output": output})
    decoded = decode("openai-responses", [created, last])
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("ok", "In the", (1001,))


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_response_that_failed_is_the_servers_error(decode, status):
    told = event("response.failed", response=FAILED)
    decoded = decode("openai-responses", [delta("In"), told])
    assert (decoded.outcome, decoded.text) == ("server_error_in_stream", "In")
    assert decoded.error == "The model failed to generate a response."
    silent = decode("openai-responses", [delta("In"), event(f"response.{status}", response={"output": []})])
    assert silent.error == f"the server gave status {status!r} and no reason"
    for error, sentence in ((FAILED["error"], decoded.error), (None, silent.error)):
        body = json.dumps({**FAILED, "status": status, "error": error}).encode()
        whole = decode("openai-responses", body, content_type=JSON)
        assert (whole.outcome, whole.error) == ("server_error_in_stream", sentence)


def test_an_error_event_is_an_error_by_its_type_alone(decode):
    """With its name, without, and with no message."""
    fields = {"code": "ERR_SOMETHING", "message": "Something went wrong", "param": None}
    named = event("error", **fields)
    for told in (named, named.partition(b"\n")[2]):
        assert decode("openai-responses", [delta("In"), told]).error == "Something went wrong"
    assert decode("openai-responses", b'data: {"type":"error","code":"busy"}\n\n').error == "busy"


def test_a_whole_answer_joins_its_texts_and_passes_over_the_rest(decode):
    """Reasoning and calls are tokens; text is that of messages alone."""
    output = [
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "content": [{"text": "no"}],
        },
        {
            "type": "message",
            "content": [{"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}],
        },
        {"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]},
        "odd",
    ]
    for kept, text in ((output, "ab"), (output[:1], ""), (output[2:], "")):
        body = json.dumps({"status": "completed", "output": kept}).encode()
        decoded = decode("openai-responses", body, content_type=JSON)
        assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", text, 1)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            '{"status": "queued", "output": []}',
            "the response is queued: ask without background, its answer comes later",
        ),
        ('{"choices": []}', "no answer at output: the server sent the keys choices"),
        (
            '{"output": "text"}',
            "not what the API promises (Expected `array | null`, got `str` - at `$.output`)",
        ),
    ],
)
def test_a_body_that_is_no_answer_is_said(decode, body, error):
    decoded = decode("openai-responses", body.encode(), content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("malformed", error)


def test_events_of_other_types_say_nothing(decode):
    """There are some fifty, and more to come; without one that ends it, a stream was cut."""
    others = [
        event("response.output_item.added", item={"type": "message", "content": []}),
        event("response.web_search_call.searching", item_id="ws_1"),
        event("response.output_text.annotation.added", annotation={"type": "url_citation"}),
        event("codex.rate_limits", limits=[1]),
    ]
    decoded = decode("openai-responses", [*others, delta("a"), *others])
    assert (decoded.outcome, decoded.text, decoded.token_ns) == ("cut_off", "a", (1004,))

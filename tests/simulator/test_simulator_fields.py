"""What a request may say: each wrong body is refused with a reason; OpenAI's and Ollama's fields alike."""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.simulator.faces import FACES, faces
from pytest_llmserve.simulator.fields import Refused, parse_object
from pytest_llmserve.simulator.question import Question, check_fit, ended
from pytest_llmserve.simulator.speech import answer

HI = [{"role": "user", "content": "hi"}]


def refusal(read, *args):
    with pytest.raises(Refused) as caught:
        read(*args)
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "the body is not JSON: Expecting value at character 0"),
        (b'{"a": NaN}', "the body is not JSON: NaN is no number"),
        (b'{"a": {"b": 1, "b": 2}}', "the key 'b' stands twice in one object"),
        (b'"text"', "the body is a text, not a JSON object"),
        (b'{"a": "\xff"}', "the body is not UTF-8: byte 7 is 0xff"),
        (b"[" * 200_000, "the body is nested too deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the body holds a number that is too long"),
    ],
)
def test_what_is_no_json_object_is_refused(raw, message):
    """Never an exception of another kind."""
    assert refusal(parse_object, raw) == (400, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "messages is missing, not a list"),
        ({"messages": []}, "messages is empty: one at least is needed"),
        ({"messages": ["hi"]}, "messages[0] is a text, not an object"),
        (
            {"messages": [{"role": "pirate", "content": ""}]},
            "messages[0].role is none of assistant, developer, system, tool, user",
        ),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages[0].content is a number, not a text or a list of parts",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            'messages[0].content[0] is not {"type": "text", "text": "..."}',
        ),
        ({"temperature": "hot"}, "temperature is a text, not a number"),
        ({"temperature": True}, "temperature is true, not a number"),
        ({"temperature": -0.1}, "temperature is -0.1: it must be at least 0 and at most 2"),
        ({"temperature": float("inf")}, "temperature is too large: it must be at least 0 and at most 2"),
        ({"repetition_penalty": float("inf")}, "repetition_penalty is too large: it must be over 0"),
        ({"top_p": 0}, "top_p is 0: it must be over 0 and at most 1"),
        ({"top_k": 1.5}, "top_k is a number with a fraction, not a whole number"),
        ({"max_tokens": 0}, "max_tokens is 0: it must be at least 1 and at most 2.14748e+09"),
        ({"max_tokens": 10**400}, "max_tokens is too large: it must be at least 1 and at most 2.14748e+09"),
        ({"stop": ["a", 1]}, "stop is a list, not a text or a list of texts"),
        ({"stop": ["a"] * 17}, "stop holds 17 texts: 16 at most"),
        ({"stream": "yes"}, "stream is a text, not true or false"),
        ({"stream_options": {}}, "stream_options is only for a request with stream: true"),
        (
            {"response_format": {"type": "xml"}},
            "response_format.type is none of text, json_object, json_schema",
        ),
        ({"logit_bias": {"5": 101}}, "logit_bias['5'] is 101: it must be at least -100 and at most 100"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(body, message):
    """Wrong types, and values out of range."""
    (chat,) = faces(["openai-chat"])
    assert refusal(chat.read, {"messages": HI, **body} if body else body, "m") == (400, message)


ODD = [
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    10**30,
    "",
    "x",
    "\ud800",
    [],
    [1],
    [[]],
    [None],
    {},
    {"": 1},
    {"a": []},
]


@pytest.mark.parametrize("name", FACES)
def test_no_value_of_any_field_is_more_than_refused(name):
    """Nor any in an object or a list in it: never an exception of another kind."""
    (face,) = faces([name])
    sound = {"model": "m", "prompt": "hi", "messages": HI, "stream": True, "options": {}, "data": ["hi", 3]}
    sound |= {"inputs": "hi", "text_input": "hi", "input": "hi", "max_tokens": 3}
    refused = []
    for field in {**face.schema["properties"], "messages": 0, "options": 0, "role": 0, "content": 0}:
        for value in ODD:
            bodies = [{**sound, field: value}, {**sound, "messages": [{**HI[0], field: value}]}]
            bodies += [{**sound, place: {field: value}} for place in ("options", "parameters")]
            for body in [*bodies, {**sound, field: [{"type": value}]}]:
                try:
                    question = face.read(body, "m")
                    ended(question, answer(question.system, question.prompt, 2, earlier=question.earlier))
                except Refused as error:
                    refused.append(face.error(str(error), error.status))
    assert len(refused) > 20
    assert all(json.loads(body) for body in refused)


def test_another_model_is_not_found():
    """404, in the words of each API."""
    chat, generate = faces(["openai-chat", "ollama-generate"])
    expected = (404, "the model 'gpt-9' does not exist: there is 'm' only")
    assert refusal(chat.read, {"messages": HI, "model": "gpt-9"}, "m") == expected
    assert refusal(generate.read, {"model": "gpt-9"}, "m") == (404, "model 'gpt-9' not found")
    assert refusal(generate.read, {}, "m") == (400, "model is required")


@pytest.mark.parametrize(
    ("name", "body", "status", "message"),
    [
        ("tgi", {}, 422, "inputs is missing, not a text"),
        ("tgi", {"inputs": ""}, 422, "Input validation error: `inputs` cannot be empty"),
        (
            "tgi",
            {"inputs": "hi", "parameters": {"temperature": 0}},
            422,
            "parameters.temperature is 0: it must be over 0",
        ),
        ("tgi", {"inputs": "hi", "parameters": []}, 422, "parameters is a list, not an object"),
        ("openai-responses", {}, 400, "input is missing, not a text or a list of items"),
        ("openai-responses", {"input": []}, 400, "messages is empty: one at least is needed"),
        (
            "openai-responses",
            {"input": [{"type": "item_reference", "id": "a"}]},
            400,
            'input[0] is no item of the type "message"',
        ),
        (
            "openai-responses",
            {"input": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
            400,
            'input[0].content[0] is not of the type "input_text"',
        ),
        (
            "openai-responses",
            {"input": "hi", "previous_response_id": "a"},
            404,
            "there is no response 'a': none is kept",
        ),
        (
            "openai-responses",
            {"input": "hi", "background": True},
            400,
            "background is true: answers are given at once only",
        ),
        (
            "openai-responses",
            {"input": "hi", "model": "x"},
            404,
            "the model 'x' does not exist: there is 'm' only",
        ),
        ("anthropic-messages", {"messages": HI, "max_tokens": 1}, 400, "model: Field required"),
        ("anthropic-messages", {"messages": HI, "model": "m"}, 400, "max_tokens: Field required"),
        ("anthropic-messages", {"model": "x", "messages": HI, "max_tokens": 1}, 404, "model: 'x'"),
        (
            "anthropic-messages",
            {"model": "m", "max_tokens": 1, "messages": [{"role": "system", "content": "a"}]},
            400,
            "messages[0].role is none of assistant, user",
        ),
        (
            "anthropic-messages",
            {"model": "m", "max_tokens": 1, "messages": HI, "system": [{"type": "image"}]},
            400,
            'system[0] is not {"type": "text", "text": "..."}',
        ),
        (
            "anthropic-messages",
            {"model": "m", "max_tokens": 1, "messages": HI, "system": 5},
            400,
            "system is a number, not a text or a list of blocks",
        ),
        ("kserve", {}, 400, "text_input is missing, not a text"),
        ("kserve", {"text_input": "hi", "stop": 5}, 400, "stop is a number, not a text or a list of texts"),
        (
            "kserve",
            {"text_input": "hi", "parameters": {"top_p": 2}},
            400,
            "parameters.top_p is 2: it must be over 0 and at most 1",
        ),
    ],
)
def test_other_bodies_are_refused_as_strictly(name, body, status, message):
    """Of TGI and of the protocol of KServe, of responses and of messages."""
    assert refusal(faces([name])[0].read, body, "m") == (status, message)


def test_unknown_fields_and_nulls_are_passed_over():
    """As if they were not there."""
    (chat,) = faces(["openai-chat"])
    body = {"messages": HI, "stop": None, "max_tokens": None, "stream_options": None, "surprise": [1]}
    assert chat.read(body, "m") == Question(prompt="hi", input_tokens=1)


def test_messages_are_read_into_a_question():
    """System text, earlier turns and the last message apart; parts are joined; a token is 4 characters."""
    (chat,) = faces(["openai-chat"])
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": None, "tool_calls": [{}]},
        {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "text", "text": "wo"}]},
    ]
    asked = chat.read({"messages": messages, "stop": "x", "max_completion_tokens": 3, "max_tokens": 9}, "m")
    assert (asked.system, asked.earlier, asked.prompt) == ("Be kind.", "one\n", "two")
    assert (asked.input_tokens, asked.most_tokens, asked.stop) == (4, 3, ("x",))


def test_prompt_and_answer_must_fit_the_context():
    """At the limit is well, one token more is not."""
    check_fit(Question(input_tokens=6, most_tokens=4), 10)
    message = "the model's context is 10 tokens: 6 in the prompt and 5 for the answer are too many"
    assert refusal(check_fit, Question(input_tokens=6, most_tokens=5), 10) == (400, message)
    assert refusal(check_fit, Question(input_tokens=10), 10)[0] == 400


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (Question(), ("one two three", "stop")),
        (Question(most_tokens=2), ("one two", "length")),
        (Question(most_tokens=3), ("one two three", "stop")),
        (Question(most_tokens=3, full=True), ("one two three", "length")),
        (Question(most_tokens=2, stop=("two", "one t")), ("", "stop")),
        (Question(most_tokens=0), ("", "load")),
    ],
)
def test_an_answer_ends_where_it_was_asked_to(question, said):
    """By its own end, by a number of tokens, or before a text."""
    assert ended(question, "one two three") == said


def test_every_api_describes_its_body():
    """As a JSON schema, for whoever draws requests from it."""
    described = {face.name: json.loads(json.dumps(face.schema)) for face in faces(list(FACES))}
    assert described["openai-chat"]["properties"]["top_p"] == {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
    }
    assert {name: schema["required"] for name, schema in described.items()} == {
        "openai-chat": ["messages"],
        "openai-completions": ["prompt"],
        "ollama-generate": ["model"],
        "ollama-chat": ["model"],
        "openai-responses": ["input"],
        "anthropic-messages": ["model", "max_tokens", "messages"],
        "tgi": ["inputs"],
        "kserve": ["text_input"],
        "gradio": ["data"],
        "gradio-run": ["data"],
        "json": ["prompt"],
    }

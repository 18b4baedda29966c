"""What goes over the wire, API by API: literals, as each API's documents have them."""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.simulator.counts import Counts, page
from pytest_llmserve.simulator.faces import FACES, faces
from pytest_llmserve.simulator.faces.face import Answer
from pytest_llmserve.simulator.question import Question

ANSWER = Answer(
    number=3,
    model="m",
    created_s=1691138839.5,
    tokens=["Hi", " there"],
    dues_ms=[5.0, 7.0],
    waited_ms=1.0,
    finish="stop",
    prompt_tokens=4,
)
LOADED = Answer(
    number=1, model="m", created_s=0, tokens=[], dues_ms=[], waited_ms=0, finish="load", prompt_tokens=0
)
USAGE = '"usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}'
COUNTS = (
    '"done": true, "done_reason": "stop", "total_duration": 8000000, "load_duration": 0,'
    ' "prompt_eval_count": 4, "prompt_eval_duration": 5000000, "eval_count": 2, "eval_duration": 2000000}'
)
AT = '{"model": "m", "created_at": "2023-08-04T08:47:19.500000Z"'
CHAT = '{"id": "chatcmpl-3", "object": "chat.completion.chunk", "created": 1691138839, "model": "m"'
TEXT = '{"id": "cmpl-3", "object": "text_completion", "created": 1691138839, "model": "m"'
DELTA = ', "choices": [{"index": 0, "delta": %s, "logprobs": null, "finish_reason": %s}]}\n\n'
PIECE = ', "choices": [{"index": 0, "text": %s, "logprobs": null, "finish_reason": %s}]}\n\n'
RUN = '{"data": ["Hi there"], "is_generating": false, "duration": 0.008, "average_duration": 0.008}'

STREAMS = {
    "openai-chat": [
        (0, "data: " + CHAT + DELTA % ('{"role": "assistant", "content": ""}', "null")),
        (5, "data: " + CHAT + DELTA % ('{"content": "Hi"}', "null")),
        (7, "data: " + CHAT + DELTA % ('{"content": " there"}', "null")),
        (7, "data: " + CHAT + DELTA % ("{}", '"stop"')),
        (7, "data: " + CHAT + ', "choices": [], ' + USAGE + "}\n\n"),
        (7, "data: [DONE]\n\n"),
    ],
    "openai-completions": [
        (5, "data: " + TEXT + PIECE % ('"Hi"', "null")),
        (7, "data: " + TEXT + PIECE % ('" there"', "null")),
        (7, "data: " + TEXT + PIECE % ('""', '"stop"')),
        (7, "data: " + TEXT + ', "choices": [], ' + USAGE + "}\n\n"),
        (7, "data: [DONE]\n\n"),
    ],
    "ollama-generate": [
        (5, AT + ', "response": "Hi", "done": false}\n'),
        (7, AT + ', "response": " there", "done": false}\n'),
        (7, AT + ', "response": "", ' + COUNTS + "\n"),
    ],
    "ollama-chat": [
        (5, AT + ', "message": {"role": "assistant", "content": "Hi"}, "done": false}\n'),
        (7, AT + ', "message": {"role": "assistant", "content": " there"}, "done": false}\n'),
        (7, AT + ', "message": {"role": "assistant", "content": ""}, ' + COUNTS + "\n"),
    ],
    "gradio": [
        (5, 'event: generating\ndata: ["Hi"]\n\n'),
        (7, 'event: generating\ndata: ["Hi there"]\n\n'),
        (7, 'event: complete\ndata: ["Hi there"]\n\n'),
    ],
    "gradio-run": [(7, RUN)],
    "json": [(7, '{"response": "Hi there"}')],
}
WHOLE = {
    "openai-chat": '{"id": "chatcmpl-3", "object": "chat.completion", "created": 1691138839, "model": "m",'
    ' "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi there"}, "logprobs": null,'
    ' "finish_reason": "stop"}], ' + USAGE + "}",
    "openai-completions": TEXT
    + ', "choices": [{"index": 0, "text": "Hi there", "logprobs": null, "finish_reason": "stop"}], '
    + USAGE
    + "}",
    "ollama-generate": AT + ', "response": "Hi there", ' + COUNTS,
    "ollama-chat": AT + ', "message": {"role": "assistant", "content": "Hi there"}, ' + COUNTS,
    "gradio": RUN,
    "gradio-run": RUN,
    "json": '{"response": "Hi there"}',
}


@pytest.mark.parametrize("name", FACES)
def test_an_answer_goes_over_the_wire_as_the_api_has_it(name):
    """Streamed, each part at its time, and whole; the counts are those of the tokens that are sent."""
    (face,) = faces([name])
    parts = face.parts(Question(include_usage=True), ANSWER)
    assert [(part.due_ms, part.data.decode()) for part in parts] == STREAMS[name]
    assert sum(part.tokens for part in parts) == 2
    assert face.whole(ANSWER).decode() == WHOLE[name]
    assert face.name == name


@pytest.mark.parametrize("name", ["openai-chat", "openai-completions"])
def test_counts_are_streamed_only_when_they_were_asked_for(name):
    """stream_options decides."""
    (face,) = faces([name])
    without = [part.data.decode() for part in face.parts(Question(), ANSWER)]
    assert without == [text for _, text in STREAMS[name] if USAGE not in text]


def test_ollama_streams_unless_told_not_to_and_names_its_model_with_or_without_a_tag():
    """And takes its numbers from `options`; -1 is no limit."""
    generate, chat = faces(["ollama-generate", "ollama-chat"])
    asked = generate.read({"model": "m:latest", "prompt": "hi", "options": {"num_predict": 5}}, "m")
    assert asked == Question(prompt="hi", input_tokens=1, most_tokens=5, stream=True)
    body = {"model": "m", "stream": False, "options": {"num_predict": -1, "stop": ["x"]}}
    asked = chat.read(body | {"messages": [{"role": "user", "content": "hi"}]}, "m")
    assert asked == Question(prompt="hi", input_tokens=1, stop=("x",))


def test_ollama_loads_the_model_for_an_empty_prompt():
    """As documented: an empty answer that says so."""
    generate, chat = faces(["ollama-generate", "ollama-chat"])
    assert generate.read({"model": "m"}, "m").most_tokens == 0
    assert chat.read({"model": "m", "messages": []}, "m").most_tokens == 0
    at = '{"model": "m", "created_at": "1970-01-01T00:00:00.000000Z", "response": ""'
    assert generate.whole(LOADED).decode() == at + ', "done": true, "done_reason": "load"}'


def test_errors_are_worded_as_the_api_words_them():
    """An object of OpenAI's, a text of Ollama's."""
    told = {face.name: json.loads(face.error("no", 400)) for face in faces(list(FACES))}
    openai = {"error": {"message": "no", "type": "invalid_request_error", "code": 400}}
    assert told["openai-chat"] == told["openai-completions"] == told["json"] == openai
    assert told["gradio"] == told["gradio-run"] == {"detail": "no"}
    (app,) = faces(["gradio"])
    assert json.loads(app.error("no", 500)) == {"error": "no"}
    assert told["ollama-generate"] == told["ollama-chat"] == {"error": "no"}


def test_the_page_of_metrics_has_the_names_of_vllm():
    """Gauges of queue and slots, counters of tokens and requests; labels are escaped."""
    counts = Counts(prompt_tokens=5, generation_tokens=6, held_tokens=50, statuses={404: 1, 200: 2})
    counts.finished["length"] = 3
    lines = page(counts, model='a"b', running=2, waiting=1, room_tokens=200).decode().split("\n")
    assert "# TYPE vllm:num_requests_running gauge" in lines
    label = 'model_name="a\\"b"'
    assert [line for line in lines if line and not line.startswith("#")] == [
        f"vllm:num_requests_running{{{label}}} 2",
        f"vllm:num_requests_waiting{{{label}}} 1",
        f"vllm:kv_cache_usage_perc{{{label}}} 0.25",
        f"vllm:prompt_tokens_total{{{label}}} 5",
        f"vllm:generation_tokens_total{{{label}}} 6",
        f'vllm:request_success_total{{{label},finished_reason="stop"}} 0',
        f'vllm:request_success_total{{{label},finished_reason="length"}} 3',
        f'vllm:request_success_total{{{label},finished_reason="load"}} 0',
        f'vllm:request_success_total{{{label},finished_reason="abort"}} 0',
        'http_requests_total{status="200"} 2',
        'http_requests_total{status="404"} 1',
    ]

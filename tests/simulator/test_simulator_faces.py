"""What goes over the wire, API by API: literals, as each API's documents have them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_llmserve.simulator.counts import Counts, page
from pytest_llmserve.simulator.faces import FACES, by_path, faces
from pytest_llmserve.simulator.faces.face import Answer, TwoPaths
from pytest_llmserve.simulator.fields import Refused
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
TGI = '{"index": %d, "token": {"id": %d, "text": "%s", "logprob": -0.5, "special": %s}, "generated_text": '
DETAILS = '"finish_reason": "eos_token", "generated_tokens": 3, "seed": null'
RUN = '{"data": ["Hi there"], "is_generating": false, "duration": 0.008, "average_duration": 0.008}'

EVENT = 'event: %s\ndata: {"type": "%s", '
PLACE = '"item_id": "msg_3", "output_index": 0, "content_index": 0, '


def response(number, name, rest):
    kind = f"response.{name}"
    return EVENT % (kind, kind) + f'"sequence_number": {number}, {rest}' + "}\n\n"


def whole_response(status, output, usage="null"):
    return (
        '{"id": "resp_3", "object": "response", "created_at": 1691138839, "status": "%s", "error": null,'
        ' "incomplete_details": null, "model": "m", "output": [%s], "usage": %s}' % (status, output, usage)
    )


def message_item(status, content):
    return '{"type": "message", "id": "msg_3", "status": "%s", "role": "assistant", "content": [%s]}' % (
        status,
        content,
    )


def output_text(text):
    return '{"type": "output_text", "text": "%s", "annotations": []}' % text


RESPONSE = whole_response(
    "completed",
    message_item("completed", output_text("Hi there")),
    '{"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}',
)
MESSAGE = (
    '{"id": "msg_3", "type": "message", "role": "assistant", "model": "m", "content": [%s],'
    ' "stop_reason": %s, "stop_sequence": null, "usage": {"input_tokens": 4, "output_tokens": %d}}'
)


def message_event(kind, rest=""):
    return EVENT % (kind, kind) + rest + "}\n\n"


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
    "openai-responses": [
        (0, response(0, "created", '"response": ' + whole_response("in_progress", ""))),
        (0, response(1, "in_progress", '"response": ' + whole_response("in_progress", ""))),
        (
            0,
            response(2, "output_item.added", '"output_index": 0, "item": ' + message_item("in_progress", "")),
        ),
        (0, response(3, "content_part.added", PLACE + '"part": ' + output_text(""))),
        (5, response(4, "output_text.delta", PLACE + '"delta": "Hi"')),
        (7, response(5, "output_text.delta", PLACE + '"delta": " there"')),
        (7, response(6, "output_text.done", PLACE + '"text": "Hi there"')),
        (7, response(7, "content_part.done", PLACE + '"part": ' + output_text("Hi there"))),
        (
            7,
            response(
                8,
                "output_item.done",
                '"output_index": 0, "item": ' + message_item("completed", output_text("Hi there")),
            ),
        ),
        (7, response(9, "completed", '"response": ' + RESPONSE)),
    ],
    "anthropic-messages": [
        (0, message_event("message_start", '"message": ' + MESSAGE % ("", "null", 1))),
        (
            0,
            message_event("content_block_start", '"index": 0, "content_block": {"type": "text", "text": ""}'),
        ),
        (0, 'event: ping\ndata: {"type": "ping"}\n\n'),
        *(
            (
                due,
                message_event(
                    "content_block_delta",
                    '"index": 0, "delta": {"type": "text_delta", "text": "%s"}' % text,
                ),
            )
            for due, text in ((5, "Hi"), (7, " there"))
        ),
        (7, message_event("content_block_stop", '"index": 0')),
        (
            7,
            message_event(
                "message_delta",
                '"delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 2}',
            ),
        ),
        (7, 'event: message_stop\ndata: {"type": "message_stop"}\n\n'),
    ],
    "tgi": [
        (5, "data:" + TGI % (1, 1, "Hi", "false") + "null, " + '"details": null}\n\n'),
        (7, "data:" + TGI % (2, 2, " there", "false") + "null, " + '"details": null}\n\n'),
        (
            7,
            "data:"
            + TGI % (3, 3, "</s>", "true")
            + '"Hi there", "details": {%s, "input_length": 4}}\n\n' % DETAILS,
        ),
    ],
    "kserve": [
        (5, 'data: {"model_name": "m", "model_version": "1", "text_output": "Hi"}\n\n'),
        (7, 'data: {"model_name": "m", "model_version": "1", "text_output": " there"}\n\n'),
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
    "openai-responses": RESPONSE,
    "anthropic-messages": MESSAGE % ('{"type": "text", "text": "Hi there"}', '"end_turn"', 2),
    "tgi": '{"generated_text": "Hi there", "details": {' + DETAILS + ', "prefill": [], "tokens": ['
    '{"id": 1, "text": "Hi", "logprob": -0.5, "special": false},'
    ' {"id": 2, "text": " there", "logprob": -0.5, "special": false},'
    ' {"id": 3, "text": "</s>", "logprob": -0.5, "special": true}]}}',
    "kserve": '{"model_name": "m", "model_version": "1", "text_output": "Hi there"}',
    "gradio": RUN,
    "gradio-run": RUN,
    "json": '{"response": "Hi there"}',
}


@pytest.mark.parametrize("name", FACES)
def test_an_answer_goes_over_the_wire_as_the_api_has_it(name):
    """Streamed, each part at its time, and whole; the counts are those of the tokens that are sent."""
    (face,) = faces([name])
    streamed = face.streamed() if isinstance(face, TwoPaths) else face
    parts = streamed.parts(Question(include_usage=True), ANSWER)
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


def test_a_path_of_its_own_asks_for_a_stream():
    """Of TGI and of the protocol of KServe, whose path names the model; a later row has its path."""
    spoken = by_path(list(FACES), "m")
    assert {path: face.name for path, face in spoken.items() if "generate" in path and "api" not in path} == {
        "/generate": "json",
        "/generate_stream": "tgi",
        "/v2/models/m/generate": "kserve",
        "/v2/models/m/generate_stream": "kserve",
    }
    assert by_path(["tgi"], "m")["/generate"].name == "tgi"
    for path, body in (("/generate_stream", {"inputs": "hi"}), ("/generate", {"inputs": "hi"})):
        assert by_path(["tgi"], "m")[path].read(body, "m").stream is (path == "/generate_stream")


def test_tgi_cuts_off_without_a_special_token_and_counts_when_asked():
    """The last token has the whole text then; `details` ask for counts."""
    (whole, stream) = by_path(["tgi"], "m").values()
    cut = replace(ANSWER, finish="length")
    assert len(stream.parts(Question(), cut)) == 2
    last = json.loads(stream.parts(Question(), cut)[-1].data[5:])
    assert (last["token"]["text"], last["generated_text"], last["details"]) == (" there", "Hi there", None)
    assert json.loads(whole.whole(cut))["details"]["generated_tokens"] == 2
    asked = stream.read({"inputs": "hi", "parameters": {"details": True, "max_new_tokens": 5}}, "m")
    assert asked == Question(prompt="hi", input_tokens=1, most_tokens=5, stream=True, include_usage=True)


def test_kserve_streams_in_pieces_only_where_it_is_told_to():
    """As Triton's backends: `stream` in the parameters or beside them; not at the path for whole answers."""
    whole, stream = by_path(["kserve"], "m").values()
    body = {"text_input": "hi", "max_tokens": 9, "parameters": {"max_tokens": 5}}
    asked = stream.read(body, "m")
    assert asked == Question(prompt="hi", input_tokens=1, most_tokens=5, stream=True, pieces=False)
    (part,) = stream.parts(asked, ANSWER)
    assert (part.due_ms, part.tokens, b'"Hi there"' in part.data) == (7, 2, True)
    for more in ({"stream": True}, {"parameters": {"stream": True}}):
        assert stream.read({**body, **more}, "m").pieces
        with pytest.raises(Refused, match="generate expects model to produce exactly 1 response"):
            whole.read({**body, **more}, "m")


def test_responses_take_a_text_or_messages_and_tell_what_was_cut():
    """Instructions and system messages are one; the limit makes a response incomplete."""
    (face,) = faces(["openai-responses"])
    text = face.read({"input": "hi", "instructions": "be brief", "max_output_tokens": 5, "stream": True}, "m")
    assert text == Question(system="be brief", prompt="hi", input_tokens=3, most_tokens=5, stream=True)
    said = [{"role": "developer", "content": "be kind"}, {"type": "message", "role": "user", "content": "a"}]
    said += [{"role": "assistant", "content": [{"type": "output_text", "text": "b"}]}]
    said += [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]
    asked = face.read({"input": said, "instructions": "be brief"}, "m")
    assert (asked.system, asked.earlier, asked.prompt) == ("be brief\nbe kind", "a\nb", "hi")
    cut = replace(ANSWER, finish="length")
    over = json.loads(face.whole(cut))
    assert (over["status"], over["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert b"event: response.incomplete\n" in face.parts(asked, cut)[-1].data


def test_messages_have_the_system_prompt_apart_and_a_limit_always():
    """A text or blocks; the reason of the end is its own word."""
    (face,) = faces(["anthropic-messages"])
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    asked = face.read(body | {"system": "be brief", "stop_sequences": ["x"], "stream": True}, "m")
    assert asked == Question(
        system="be brief", prompt="hi", input_tokens=3, most_tokens=5, stop=("x",), stream=True
    )
    blocks = [{"type": "text", "text": "be"}, {"type": "text", "text": "brief"}]
    assert face.read(body | {"system": blocks}, "m").system == "be\nbrief"
    assert json.loads(face.whole(replace(ANSWER, finish="length")))["stop_reason"] == "max_tokens"


def test_errors_are_worded_as_the_api_words_them():
    """An object of OpenAI's, and of Anthropic's, a text of the others."""
    told = {face.name: json.loads(face.error("no", 400)) for face in faces(list(FACES))}
    openai = {"error": {"message": "no", "type": "invalid_request_error", "code": 400}}
    assert told["openai-chat"] == told["openai-completions"] == told["json"] == openai
    assert told["openai-responses"] == openai
    for status, kind in ((400, "invalid_request_error"), (404, "not_found_error"), (503, "api_error")):
        error = {"type": kind, "message": "no"}
        said = json.loads(faces(["anthropic-messages"])[0].error("no", status))
        assert said == {"type": "error", "error": error}
    assert told["ollama-generate"] == told["ollama-chat"] == told["kserve"] == {"error": "no"}
    assert told["tgi"] == {"error": "no", "error_type": "validation"}
    kinds = [json.loads(faces(["tgi"])[0].error("no", status))["error_type"] for status in (424, 429, 500)]
    assert kinds == ["generation", "overloaded", "incomplete_generation"]
    assert told["gradio"] == told["gradio-run"] == {"detail": "no"}
    (app,) = faces(["gradio"])
    assert json.loads(app.error("no", 500)) == {"error": "no"}


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

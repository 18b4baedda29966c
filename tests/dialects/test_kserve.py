"""The generate endpoints of the open inference protocol v2, as KServe's and Triton's documents have them.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/generate_rest.yaml
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_generate.md
https://github.com/triton-inference-server/vllm_backend/blob/main/docs/additional_outputs.md
"""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.dialects import dialect
from pytest_llmserve.domain.errors import SetupError

JSON = "application/json"


def said(text, **more):
    value = {"model_name": "mymodel", "model_version": "1", "text_output": text, **more}
    return f"data: {json.dumps(value)}\n\n".encode()


def sent(make_target, prompt="client input", params=None, **fields):
    return dialect("kserve").encode(make_target(**fields), prompt, params or {})


@pytest.mark.parametrize(
    ("path", "model", "sent_to"),
    [
        ("", "mymodel", "/v2/models/mymodel"),
        ("/v2", "mymodel", "/v2/models/mymodel"),
        ("/prefix", "org/my model", "/prefix/v2/models/org%2Fmy%20model"),
        ("/v2/models/other", "mymodel", "/v2/models/other"),
        ("/v2/models/other", None, "/v2/models/other"),
        ("/p/v2/models/other/versions/2", None, "/p/v2/models/other/versions/2"),
        ("/v2/models/other/generate", None, "/v2/models/other"),
        ("/v2/models/other/versions/2/generate_stream", None, "/v2/models/other/versions/2"),
    ],
)
def test_the_path_names_the_model_and_whether_to_stream(make_target, path, model, sent_to):
    """A model in the URL's path goes before the one of --llm-model: it may carry a version."""
    assert sent(make_target, path=path, model=model).path == f"{sent_to}/generate_stream"
    assert sent(make_target, path=path, model=model, stream=False).path == f"{sent_to}/generate"


def test_without_a_model_nothing_is_sent(make_target):
    with pytest.raises(SetupError) as caught:
        sent(make_target)
    assert str(caught.value) == (
        "the kserve API names the model in the path, /v2/models/NAME/generate, and no model is known:"
        " give --llm-model, or a URL that ends with /v2/models/NAME"
    )


def test_a_stream_is_asked_for_beside_the_users_parameters(make_target):
    """Triton's vLLM and TensorRT-LLM backends would answer in one piece."""
    params = {"parameters": {"max_tokens": 5}, "exclude_input_in_output": True}
    assert json.loads(sent(make_target, model="m", params=params).body) == {
        "text_input": "client input",
        "parameters": {"stream": True, "max_tokens": 5},
        "exclude_input_in_output": True,
    }
    assert json.loads(sent(make_target, model="m", stream=False).body) == {"text_input": "client input"}


def test_an_answer_ends_with_its_stream_where_the_server_has_no_mark(decode):
    """Triton has none; where one was to be expected, an answer without it was cut."""
    assert decode("kserve", said("a") + said("b")).outcome == "ok"
    assert decode("kserve", said("a", done=False) + said("b", done=True)).outcome == "ok"
    assert decode("kserve", said("a", done=False) + said("b", done=False)).outcome == "cut_off"
    assert decode("kserve", [said("a", done=False)] * 6 + [said("b", done=True)]).outcome == "ok"
    assert decode("kserve", [said("a")] + [said("b", done=False)] * 6).outcome == "cut_off"
    finished = decode("kserve", said("a", finish_reason="None") + said("b", finish_reason="stop"))
    assert (finished.outcome, finished.finish_reason) == ("ok", "stop")
    assert decode("kserve", said("a", finish_reason="None")).outcome == "cut_off"


def test_counts_of_the_pieces_are_added_up(decode):
    """Triton's vLLM backend tells those of each piece, where `return_num_output_tokens` asks for them."""
    pieces = [said(text, num_output_tokens=count) for text, count in (("a", 2), ("b", [3]), ("c", 1))]
    for body in (pieces, b"".join(pieces)):
        decoded = decode("kserve", body)
        assert (decoded.text, decoded.output_tokens, decoded.tokens_from) == ("abc", 6, "usage")


def test_an_error_object_in_a_stream_is_the_servers(decode):
    """Although the status says success."""
    decoded = decode("kserve", said("a") + b'data: {"error":"error message"}\n\n')
    assert (decoded.outcome, decoded.error, decoded.text) == ("server_error_in_stream", "error message", "a")
    refused = decode("kserve", b'{"error":"error message"}', status=400, content_type=JSON)
    assert (refused.outcome, refused.error) == ("http_4xx", "400: error message")


@pytest.mark.parametrize(
    ("texts", "text", "chunks"),
    [
        (["a", "a b", "a b c"], "a b c", 3),
        (["a", "a b", "a b", "a b c"], "a b c", 3),
        (["Hel", "Hel", "Hello", "Hello world"], "Hello world", 3),
        (["a", "a b", "a b"], "aa ba b", 3),
        (["a", "a b", "a b c", "a b c", "a b c d"], "a b c d", 4),
        (["a", "a b", "a b c\ufffd", "a b c\u00e9"], "a b c\u00e9", 4),
        (["a", "a b", "a b c\ufffd"], "a b c\ufffd", 3),
        (["\ufffd", "\u00e9", "\u00e9 a", "\u00e9 a b", "\u00e9 a b"], "\u00e9 a b", 4),
        (["\ufffd", "a", "b"], "\ufffdab", 3),
        ([" ", "  ", "   ", "x"], "      x", 4),
        (["\n", "\nA", "\nA b", "\nA b c"], "\nA b c", 4),
        (["Hel", "lo", " w", "Hello w"], "Hello w", 3),
        (["Hel", "lo", "Hello", "Hello"], "Hello", 2),
        (["0", "1", "01", "2"], "01012", 4),
        (["ha", "ha", "haha"], "haha", 2),
        (["ha", "ha", "haha", "!"], "hahahaha!", 4),
        (["", "a", "", "a b", "", "a b c", ""], "a b c", 3),
        (["1", "10", "0"], "1100", 3),
        (["1", "10"], "110", 2),
        (["1", "10", ""], "110", 2),
        (["ha", "ha", "ha"], "hahaha", 3),
        (["a", "b", "bc", "bcd"], "abbcbcd", 4),
        (["a"], "a", 1),
    ],
)
def test_all_text_so_far_is_told_from_new_text(decode, texts, text, chunks):
    """By two pieces running that each begin with the whole one before, and add to it; not by one.

    A character of which a part is missing, and blanks, decide nothing. A last piece that is the whole answer
    again is no part of it.
    """
    pieces = [said(piece) for piece in texts]
    for body in (pieces, b"".join(pieces)):
        decoded = decode("kserve", body)
        assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("ok", text, chunks)


def test_of_an_answer_that_broke_off_the_undecided_text_is_left_out(decode):
    """What stays is the beginning of the answer either way."""
    decoded = decode("kserve", said("a") + said("a b"), ending="closed_early")
    assert (decoded.outcome, decoded.text, len(decoded.token_ns)) == ("cut_off", "a", 2)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"model_name":"m"}', "no answer at text_output: the server sent the keys model_name"),
        (b'{"text_output":[]}', "no answer at text_output: the server sent the keys text_output"),
        (
            b'{"text_output":5}',
            "not what the API promises (Expected `str | array | null`, got `int` - at `$.text_output`)",
        ),
        (b'{"text_output":""}', "empty answer: status 200 with no text, reasoning or tool call"),
    ],
)
def test_what_is_no_answer_is_shown(decode, body, error):
    decoded = decode("kserve", body, content_type=JSON)
    assert (decoded.outcome, decoded.error) == ("malformed", error)
    event = decode("kserve", b"data: " + body + b"\n\n")
    assert (event.outcome, (event.error or "").removeprefix("event 1: ")) == ("malformed", error)


def test_of_several_outputs_the_first_is_the_answer(decode):
    decoded = decode("kserve", b'{"text_output":["one","two"]}', content_type=JSON)
    assert (decoded.outcome, decoded.text) == ("ok", "one")

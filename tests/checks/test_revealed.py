"""What of its inside a server lets out: each kind is known, and what it only repeats is not its own."""

from __future__ import annotations

import json

import pytest

from pytest_llmserve.checks.revealed import SIGNS, revealed

SHOWN = {
    "a Python traceback": "Traceback (most recent call last):",
    "a Python stack": 'File "sampler.py", line 12, in draw',
    "a Go panic": "goroutine 17 [running]:\nmain.serve()",
    "a Java stack": "at org.engine.Sampler.draw(Sampler.java:17)",
    "a .NET stack": "at Engine.Sampler.Draw(Int32 k) in C:\\build\\Sampler.cs:line 42",
    "a C++ exception": "terminate called after throwing an instance of 'std::out_of_range'",
    "a Rust panic": "thread 'main' panicked at src/sampler.rs:17:5:",
    "a Node.js stack": "at Object.<anonymous> (/srv/app/server.js:17:5)",
    "a Ruby stack": "app.rb:17:in `draw'",
    "a place in C or C++ code": "/llama.cpp/src/llama-sampling.cpp:212: GGML_ASSERT(k > 0) failed",
    "a path of the server's code": "see /usr/lib/python3/site-packages/engine/sampler.py",
    "a path of its machine": "/home/alice/models/config.json cannot be opened",
    "an exception of its code": "KeyError('role')",
}


def test_there_is_an_example_of_each_sign():
    assert list(SHOWN) == [sign.name for sign in SIGNS]


@pytest.mark.parametrize("name", SHOWN)
def test_each_sign_is_found_in_text_json_and_html_and_not_where_the_input_has_it(name):
    text = SHOWN[name]
    for answer in (text, json.dumps({"error": text}), "<pre>" + text.replace('"', "&quot;") + "</pre>"):
        found = revealed(answer.encode(), b'{"prompt": "hi"}')
        assert found is not None
        assert found.startswith(f"{name}: ")
        repeated = json.dumps({"prompt": f"explain {text}"}).encode()
        assert revealed(answer.encode(), repeated) is None


def test_an_answer_with_more_than_the_input_had_is_found():
    """A server that repeats a traceback and adds its own."""
    sent, own = SHOWN["a Python stack"], 'File "/srv/own.py", line 1'
    found = revealed(f"{sent}\n{own}".encode(), sent.encode())
    assert found == "a Python stack: 'File \"/srv/own.py\", line 1'"


@pytest.mark.parametrize(
    "text",
    [
        "see https://docs.python.org/3/library/json.py and /v1/chat/completions",
        '{"model": "/models/smollm2.gguf", "path": "/v1/completions", "loc": ["body", "top_k"]}',
        "[json.exception.parse_error.101] parse error at line 1, column 2",
        "Don't panic, it is at most 17:30 (or 18:00)",
        "no such route: /app/chat, /app/api/generate, /app/v1/models/m or /home/login",
        "see https://a.example/home/alice/x, http://10.0.0.1:80/tmp/x, #/usr/lib/x, </var/x>, and/or/tmp/x",
        "relative: ./home/alice/x, ../tmp/x, models/usr/lib/x and {base}/tmp/x",
        '{"type": "TypeError", "error": "BadRequestError: Value error, top_k must be positive"}',
        "1 validation error: [{'msg': 'Value error', 'ctx': {'error': ValueError('top_k')}}]",
    ],
)
def test_healthy_words_are_none(text):
    assert revealed(text.encode(), b"") is None


@pytest.mark.parametrize(
    "text",
    [
        *("/root/.cache/hub", "/tmp/tmpa1b2", "/workspace/model", "/opt/vllm/lib", "/srv/data/model"),
        *("/app/config.json", "/var/log/engine.log", "/usr/local/lib", "file:///home/alice/model"),
        *("C:\\Users\\alice\\app\\config.json", "C:/Users/alice"),
    ],
)
def test_absolute_paths_are_found_wherever_they_begin(text):
    for answer in (f"cannot open {text}", f"cannot open '{text}'.", json.dumps({"detail": text})):
        found = revealed(answer.encode(), b"")
        assert found is not None, answer
        assert found.startswith("a path of its machine: ")


@pytest.mark.parametrize(
    "text",
    ["TypeError: unhashable type", "Internal error: ValueError: no", "json.decoder.JSONDecodeError: Extra"],
)
def test_exceptions_are_found_where_a_text_begins_with_them(text):
    found = revealed(json.dumps({"error": text}).encode(), b"")
    assert found is not None
    assert found.startswith("an exception of its code: ")


def test_what_the_client_has_named_beside_the_body_is_not_the_servers():
    """Its path, and a model that is called by its file."""
    text = "no model /home/alice/models/m.gguf"
    assert revealed(text.encode(), b"{}", named="/v1/models /home/alice/models/m.gguf") is None


def test_in_a_good_answer_the_file_of_a_model_is_no_fault():
    """Servers name their model so; a stack is one anywhere but in the model's own words."""
    path, stack = SHOWN["a path of its machine"], SHOWN["a Python traceback"]
    assert revealed(path.encode(), b"", good=True) is None
    assert revealed(SHOWN["an exception of its code"].encode(), b"", good=True) is None
    assert revealed(stack.encode(), b"", good=True) is not None

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
    ],
)
def test_healthy_words_are_none(text):
    assert revealed(text.encode(), b"") is None

"""One line for people out of the error bodies of real servers."""

from __future__ import annotations

import pytest

from pytest_llmserve.dialects.errors import one_line, sentence_from_body, sentence_from_json


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (  # llama.cpp
            b'{"error":{"code":400,"message":"request (9031 tokens) exceeds the available context size '
            b'(2048 tokens), try increasing it","type":"exceed_context_size_error","n_ctx":2048}}',
            "request (9031 tokens) exceeds the available context size (2048 tokens), try increasing it",
        ),
        (  # vLLM
            b'{"error":{"message":"1 validation error:\\n  {\'type\': \'missing\'}","code":400}}',
            "1 validation error: {'type': 'missing'}",
        ),
        (  # transformers serve
            b'{"detail":[{"type":"dict_type","loc":["body"],"msg":"Input should be a valid dictionary"}]}',
            "body: Input should be a valid dictionary",
        ),
        (
            b'{"detail":[{"loc":["body",28],"msg":"one"},{"loc":["body","x"],"msg":"two"}]}',
            "body.28: one; body.x: two",
        ),
        (b'{"detail":"There was an error parsing the body"}', "There was an error parsing the body"),
        (b'{"error": "CUDA out of memory"}', "CUDA out of memory"),
        (b'{"message": "no"}', "no"),
        (b'{"error": {"code": 7}}', '{"error": {"code": 7}}'),
        (b'{"error": null}', '{"error": null}'),
        (b'"just a string"', "just a string"),
        (b"null", "no reason given"),
        (b"", "no reason given"),
        (b"Internal Server Error", "Internal Server Error"),
        (b"two\r\nlines", "two lines"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"<html><TITLE>502 Bad &amp; Gateway</TITLE><body>nginx", "502 Bad & Gateway"),
        (b"<html><style>p {}</style><body><h1>Oops</h1> it <b>broke</b></html>", "Oops it broke"),
        (b"<html><title></title><p>Oops", "Oops"),
        (b"x" * 201, "x" * 197 + "..."),
        (b"x" * 200, "x" * 200),
    ],
)
def test_the_reason_is_found(body: bytes, sentence: str) -> None:
    assert sentence_from_body(body) == sentence


def test_an_error_nested_too_deep_is_named_by_its_keys() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert sentence_from_json({"odd": deep}) == "the keys odd"


def test_a_line_is_one_line() -> None:
    assert one_line(" a\n\t b\u2028c ") == "a b c"

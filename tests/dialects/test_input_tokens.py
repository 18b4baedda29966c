"""Where servers tell how many tokens an input had."""

from __future__ import annotations

import pytest

from pytest_llmserve.dialects.input_tokens import input_tokens


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b'{"usage": {"prompt_tokens": 12, "completion_tokens": 3}}', 12),
        (b'{"usage": {"input_tokens": 7}}', 7),
        (
            b'{"usage":{"input_tokens":1,"cache_read_input_tokens":32,"cache_creation_input_tokens":4}}',
            37,
        ),
        (b'{"usage": {"input_tokens": 7, "cache_read_input_tokens": null}}', 7),
        (b'{"prompt_eval_count": 9}', 9),
        (b'{"text_output": "a", "num_input_tokens": 6}', 6),
        (b'{"usage": {"prompt_tokens": 0}}', None),
        (b'{"usage": {"prompt_tokens": true}}', None),
        (b'{"usage": null}', None),
        (b"[1]", None),
        (b"data: {}", None),
        (b"", None),
    ],
)
def test_the_servers_own_count_is_read(body, count):
    """OpenAI's two places, Ollama's and Triton's; Anthropic's parts are added up; a count of 0 is none."""
    assert input_tokens(body) == count

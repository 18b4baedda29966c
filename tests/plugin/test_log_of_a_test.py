"""What was asked belongs to a test, as its log does."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec

from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.plugin.serverlog import TestLog
from pytest_llmserve.serve.endpoint import Endpoint


def test_prompts_of_tests_long_over_hide_nothing():
    """Each test that begins lets go of what was asked before the last one."""
    target = msgspec.structs.replace(target_from_url("http://127.0.0.1:1"), api="openai-chat")
    endpoint = Endpoint(target)
    opened = SimpleNamespace(endpoint=endpoint, logs=())
    endpoint.said.load(lambda: ["CUDA out of memory"])
    said = []
    for _ in range(2):
        TestLog(None).start(opened, 0)
        said.append(endpoint.cleaned("CUDA out of memory"))
    assert said == ["[prompt]", "CUDA out of memory"]
    endpoint.close()

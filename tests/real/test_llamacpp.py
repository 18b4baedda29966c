"""llama.cpp's own server in all of its APIs; tests/serve/test_embedded.py has what it does in general."""

from __future__ import annotations

import time

import pytest

from pytest_llmserve.observe.metrics import MetricsPages
from pytest_llmserve.observe.metrics_page import own_page
from pytest_llmserve.serve import embedded
from tests.real.environments import ROOT, the_model
from tests.real.serving import served

CONTEXT = 512
SLOTS = 2
APIS = ["openai-chat", "openai-completions", "openai-responses", "anthropic-messages"]


@pytest.fixture(scope="module")
def llamacpp(tmp_path_factory):
    pytest.importorskip("xllamacpp")
    the_model()
    command = [*embedded.command(0)[:-1], "{port}", "--threads", "1"]
    size = ["--slots", str(SLOTS), "--context", str(SLOTS * CONTEXT)]
    folder = tmp_path_factory.mktemp("llamacpp")
    with served([*command, *size], folder, env={"PYTHONPATH": str(ROOT)}) as server:
        yield server


@pytest.mark.parametrize("api", APIS)
def test_each_of_its_apis_is_spoken(llamacpp, api):
    """A streamed answer of 5 tokens, counted by the server, a stamp each; several over one connection."""
    endpoint = llamacpp.speaking(api)
    try:
        assert endpoint.target.stream
        limit = {"max_output_tokens" if api == "openai-responses" else "max_tokens": 5}
        for _ in range(3):
            reply = endpoint.generate("The capital of France is", **limit, temperature=0)
            assert reply.ok, reply
            assert (reply.output_tokens, reply.tokens_from, len(reply.record.token_ns)) == (5, "usage", 5)
    finally:
        endpoint.close()


def test_a_prompt_over_its_context_is_refused_with_the_reason(llamacpp):
    """A clean 400 that names both lengths; and the next request is answered."""
    reply = llamacpp.endpoint.generate("word " * (CONTEXT + 100), max_tokens=4)
    assert (reply.outcome, reply.status) == ("http_4xx", 400)
    assert "exceeds the available context size" in reply.record.error
    assert str(CONTEXT) in reply.record.error
    assert llamacpp.endpoint.generate("Say hi.", max_tokens=8).ok


def test_a_stream_that_is_left_early_frees_its_slot(llamacpp):
    """Both slots are taken by long answers and left; both are free again long before those would end."""
    pages = MetricsPages([own_page(llamacpp.endpoint.target)])
    streams = [llamacpp.endpoint.stream("Write a long story.", max_tokens=200, ignore_eos=True) for _ in "12"]
    answers = [iter(stream) for stream in streams]
    for pieces in answers:
        next(pieces)
    assert becomes(2, pages)
    begun = time.monotonic()
    for stream in streams:
        stream.close()
    assert becomes(0, pages)
    took_s = time.monotonic() - begun
    whole = llamacpp.endpoint.generate("Write a long story.", max_tokens=200, ignore_eos=True)
    assert took_s < whole.e2e_ms / 1000 / 2


def becomes(running, pages):
    deadline = time.monotonic() + 20
    while pages.read(True)["running"] != running:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True

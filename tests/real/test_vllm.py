"""vLLM on the CPU: four APIs, its metrics, and a server of several processes."""

from __future__ import annotations

import time

import pytest

from pytest_llmserve.observe.metrics import MetricsPages
from pytest_llmserve.observe.metrics_page import own_page
from tests.real.environments import hf_folder, python_of
from tests.real.serving import ALONE, served, session

CONTEXT = 2048
QUIET = ALONE | {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
QUESTION = "What is the capital of France?"
# What is asked, the field that limits the answer, and the word for an answer that met its limit.
APIS = [
    ("openai-chat", QUESTION, "max_tokens", "length"),
    ("openai-completions", "The capital of France is", "max_tokens", "length"),
    ("openai-responses", QUESTION, "max_output_tokens", "max_output_tokens"),
    ("anthropic-messages", QUESTION, "max_tokens", "max_tokens"),
]


@pytest.fixture(scope="module")
def vllm(tmp_path_factory):
    # `vllm serve` wants the metadata of a package "vllm"; this one is called vllm-cpu.
    program = [python_of("vllm"), "-m", "vllm.entrypoints.openai.api_server", "--model", str(hf_folder())]
    place = ["--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "smollm2-135m"]
    size = ["--max-model-len", str(CONTEXT), "--enforce-eager", "--dtype", "float32"]
    with served([*program, *place, *size], tmp_path_factory.mktemp("vllm"), env=QUIET) as server:
        yield server


@pytest.mark.parametrize(("api", "prompt", "limit", "finish"), APIS, ids=[row[0] for row in APIS])
def test_each_of_its_apis_is_spoken(vllm, api, prompt, limit, finish):
    """A streamed answer of 7 tokens, counted by the server, a stamp each; wrong bodies get a 400."""
    endpoint = vllm.speaking(api)
    try:
        assert endpoint.target.stream
        reply = endpoint.generate(prompt, **{limit: 7}, temperature=0)
        assert reply.ok, reply
        assert "Paris" in reply.text
        assert (reply.output_tokens, reply.tokens_from, len(reply.record.token_ns)) == (7, "usage", 7)
        assert reply.record.finish_reason == finish
        refused = endpoint.send({"model": "smollm2-135m"})
        assert (refused, refused.status) == ("http_4xx", 400)
    finally:
        endpoint.close()


def test_a_prompt_over_its_context_is_refused_with_the_reason(vllm):
    """A clean 400 that names the length; and the next request is answered."""
    reply = vllm.endpoint.generate("word " * (CONTEXT + 200), max_tokens=4)
    assert (reply.outcome, reply.status) == ("http_4xx", 400)
    assert str(CONTEXT) in reply.record.error
    assert vllm.endpoint.generate("Say hi.", max_tokens=8).ok


def test_an_answer_nobody_waits_for_is_given_up(vllm):
    """Its own count of running requests rises with a stream, and falls when the client leaves it."""
    pages = MetricsPages([own_page(vllm.endpoint.target)])
    stream = vllm.endpoint.stream("Write a long story.", max_tokens=1500, ignore_eos=True)
    pieces = iter(stream)
    next(pieces)
    assert becomes(1, pages)
    stream.close()
    assert becomes(0, pages)


def becomes(running, pages):
    deadline = time.monotonic() + 20
    while pages.read(True)["running"] != running:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_a_load_sees_its_queue_and_all_its_processes(vllm, tmp_path):
    """By its URL alone: API, metrics and the memory of API server, engine and worker together."""
    suite = """
@pytest.mark.load(users=4, requests=16, max_tokens=8)
@pytest.mark.error_rate(max=0)
@pytest.mark.latency(ttft_p50_ms=60000)
@pytest.mark.resources(rss_mb=20000)
def test_it(llm_load):
    llm_load(["Name a river.", "Name a lake."])
"""
    done = session(tmp_path / "suite", suite, f"--llm-endpoint={vllm.base}")
    assert done.exit == 0, done.text
    assert done.report["tests"][0]["server"]["api"] == "openai-chat"
    assert done.run["counts"]["ok"] == 16
    seen = done.run["resources"]
    assert seen["processes_peak"] == len(vllm.process.pids()) >= 4
    assert seen["rss_mb_peak"] > 2000
    assert 2 <= seen["running_peak"] <= 4

"""GuideLLM's mock server: delays that its authors planted to test a load generator of their own."""

from __future__ import annotations

import pytest

from tests.real.environments import python_of
from tests.real.plain_client import strayed
from tests.real.serving import served

TTFT_MS, ITL_MS, TOKENS = 100, 20, 16


@pytest.fixture(scope="module")
def guidellm(tmp_path_factory):
    program = [python_of("guidellm"), "-m", "guidellm", "mock-server"]
    delays = [
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
        "--ttft-ms",
        TTFT_MS,
        "--itl-ms",
        ITL_MS,
        "--output-tokens",
        TOKENS,
    ]
    with served([*program, *map(str, delays)], tmp_path_factory.mktemp("guidellm")) as server:
        yield server


@pytest.mark.parametrize("streams", [1, 4])
def test_its_planted_delays_are_measured(guidellm, tmp_path, streams):
    """Median TTFT and ITL within 3 ms of the later of what was planted and what a plain client sees of it."""
    planted = {"ttft_ms": TTFT_MS, "itl_ms": ITL_MS}
    model = guidellm.endpoint.model
    assert strayed(guidellm, planted, tmp_path, streams=streams, tokens=TOKENS, model=model) == {}


def test_it_is_understood_by_auto(guidellm):
    """Its model by its list; each word and each space is a token of its own, and counted so."""
    assert (guidellm.endpoint.api, guidellm.endpoint.model) == ("openai-chat", "llama-3.1-8b-instruct")
    reply = guidellm.endpoint.generate("Say hi.", max_tokens=6)
    assert (reply.output_tokens, reply.tokens_from, len(reply.record.token_ns)) == (6, "usage", 6)

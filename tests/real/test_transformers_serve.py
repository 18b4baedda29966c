"""`transformers serve`: no [DONE], errors inside of a 200, and fields it does not know are refused."""

from __future__ import annotations

import pytest

from tests.real.environments import hf_folder, home_of, python_of
from tests.real.serving import served, session


@pytest.fixture(scope="module")
def transformers(tmp_path_factory):
    python_of("transformers")
    program = [str(home_of("transformers") / "bin" / "transformers"), "serve", "--host", "127.0.0.1"]
    model = str(hf_folder())
    options = ["--port", "{port}", "--device", "cpu", "--dtype", "float32", model]
    folder = tmp_path_factory.mktemp("transformers")
    # Its list of models asks the hub, and fails without.
    with served([*program, *options], folder, model=model) as server:
        yield server


def test_its_chat_is_found_out_though_its_list_of_models_fails(transformers):
    """By its OpenAPI document; streams without an end mark are whole, and counted by the server."""
    assert transformers.endpoint.api == "openai-chat"
    assert "/openapi.json describes POST /v1/chat/completions" in transformers.endpoint.because
    reply = transformers.endpoint.generate("What is the capital of France?", max_tokens=7, temperature=0)
    assert reply.ok, reply
    assert "Paris" in reply.text
    assert (reply.output_tokens, reply.tokens_from, len(reply.record.token_ns)) == (7, "usage", 7)


@pytest.mark.parametrize("api", ["openai-completions", "openai-responses"])
def test_its_other_apis_are_spoken(transformers, api):
    """Streamed, and counted by the server."""
    endpoint = transformers.speaking(api, model=transformers.endpoint.model)
    try:
        limit = {"max_output_tokens" if api == "openai-responses" else "max_tokens": 5}
        reply = endpoint.generate("The capital of France is", **limit, temperature=0)
        assert reply.ok, reply
        assert (reply.output_tokens, reply.tokens_from, len(reply.record.token_ns)) == (5, "usage", 5)
    finally:
        endpoint.close()


def test_what_it_refuses_is_told_wherever_it_says_it(transformers):
    """Before the answer, with a status; or in the middle of a 200, as an event with a text for the error."""
    unknown = transformers.endpoint.generate("Say hi.", max_tokens=2, zork=1)
    assert (unknown.outcome, unknown.status) == ("http_4xx", 422)
    assert unknown.record.error == "422: Unexpected fields in the request: {'zork'}"
    inside = transformers.endpoint.generate("Say hi.", max_tokens=0)
    assert (inside.outcome, inside.status) == ("server_error_in_stream", 200)
    assert "`max_new_tokens` must be greater than 0" in inside.record.error
    assert transformers.endpoint.generate("Say hi.", max_tokens=8).ok


def test_a_few_users_wait_for_each_other_and_all_are_served(transformers, tmp_path):
    """Time to the first token is judged with the wait in it."""
    suite = """
@pytest.mark.load(users=3, requests=9, max_tokens=6)
@pytest.mark.error_rate(max=0)
@pytest.mark.latency(ttft_p50_ms=60000)
def test_it(llm_load):
    llm_load(["Name a river.", "Name a lake."])
"""
    model = f"--llm-model={transformers.endpoint.model}"
    done = session(tmp_path / "suite", suite, f"--llm-endpoint={transformers.base}", model)
    assert done.exit == 0, done.text
    assert done.run["counts"]["ok"] == 9

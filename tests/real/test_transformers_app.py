"""FastAPI and transformers around a real small model, on the CPU."""

from __future__ import annotations

import pytest

from tests.real.environments import APPS, hf_folder, python_of
from tests.real.serving import served, session


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    program = [python_of("transformers"), str(APPS / "transformers_app.py")]
    command = [*program, "--folder", str(hf_folder()), "--port", "{port}"]
    with served(command, tmp_path_factory.mktemp("app")) as server:
        yield server


def test_a_few_users_are_served(app, tmp_path):
    """POST /generate {"prompt"}, found out without an option: real answers, some users at once."""
    suite = """
@pytest.mark.load(users=3, requests=12, max_tokens=6)
@pytest.mark.error_rate(max=0)
@pytest.mark.latency(p50_ms=60000)
@pytest.mark.resources(rss_mb=8000)
def test_it(llm_load, llm_endpoint):
    assert "Paris" in llm_endpoint.generate("What is the capital of France?", max_tokens=8).text
    llm_load(["Name a river.", "Name a lake.", "Name a sea."])
"""
    done = session(tmp_path / "suite", suite, f"--llm-endpoint={app.base}")
    assert done.exit == 0, done.text
    found = done.report["tests"][0]["server"]
    assert (found["api"], app.endpoint.target.path) == ("json", "/generate")
    assert done.run["counts"]["ok"] == 12
    assert 300 < done.run["resources"]["rss_mb_peak"] < 8000


@pytest.mark.parametrize("path", ["/stream", "/lines"])
def test_its_streams_come_piece_by_piece(app, path):
    """Events, or lines of JSON: each piece has a stamp, and together they are what /generate answers."""
    endpoint = app.speaking("json", path)
    try:
        reply = endpoint.generate("What is the capital of France?", max_tokens=12)
        assert reply.ok, reply
        assert len(reply.record.token_ns) >= 4
        assert reply.ttft_ms < reply.e2e_ms / 2
        assert reply.text == app.endpoint.generate("What is the capital of France?", max_tokens=12).text
    finally:
        endpoint.close()

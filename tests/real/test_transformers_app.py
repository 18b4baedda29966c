"""FastAPI and transformers around a real small model, on the CPU."""

from __future__ import annotations

import pytest

from tests.real.environments import APPS, hf_folder, python_of
from tests.real.serving import served, session


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    program = [python_of("transformers"), str(APPS / "transformers_app.py")]
    command = [*program, "--folder", str(hf_folder()), "--port", "{port}"]
    with served(command, tmp_path_factory.mktemp("app"), api="json") as server:
        yield server


def test_a_few_users_are_served(app, tmp_path):
    """POST /generate {"prompt"}, found out without an option: real answers, some users at once."""
    suite = """
@pytest.mark.load(users=3, requests=24, max_tokens=8)
@pytest.mark.error_rate(max=0)
@pytest.mark.latency(p50_ms=60000)
@pytest.mark.resources(rss_mb=8000)
def test_it(llm_load, llm_endpoint):
    assert "Paris" in llm_endpoint.generate("What is the capital of France?", max_tokens=8).text
    llm_load(["Name a river.", "Name a lake.", "Name a sea."])
"""
    done = session(tmp_path / "suite", suite, f"--llm-endpoint={app.base}")
    assert done.exit == 0, done.text
    assert done.report["tests"][0]["server"]["api"] == "json"
    assert done.run["counts"]["ok"] == 24
    assert 300 < done.run["resources"]["rss_mb_peak"] < 8000

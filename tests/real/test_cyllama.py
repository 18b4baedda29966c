"""cyllama's server: HTTP/1.0, no streams; and after its first answer it only seems to be well."""

from __future__ import annotations

from tests.real.environments import python_of, the_model
from tests.real.serving import joined, session

SUITE = """
@pytest.mark.load(users=2, requests=20)
@pytest.mark.error_rate(max=0.01)
@pytest.mark.latency(p95_ms=20000)
@pytest.mark.no_log_errors()
def test_it(llm_load, llm_endpoint):
    assert llm_endpoint.because.endswith("was answered in one piece, with token counts")
    llm_load("Say hi.")
"""


def test_empty_answers_are_no_answers(tmp_path):
    """Status 200 all the way, none slow: yet each answer but the first is empty, and its log says why."""
    command = [python_of("cyllama"), "-m", "cyllama", "server", "-m", str(the_model()), "--port", "{port}"]
    done = session(tmp_path / "suite", SUITE, f"--llm-serve={joined([*command, '--server-type', 'python'])}")
    assert done.exit == 1, done.text
    assert done.run["counts"]["by_outcome"] == {"malformed": 20}
    for check in ("error_rate", "latency", "no_log_errors"):
        assert done.verdict(check)["verdict"] == "fail"
    assert "empty answer: status 200 with no text" in done.text
    assert "llama_decode: failed to decode" in done.text

"""--llm-endpoint=simulator: a server to try tests on, with nothing to install."""

from __future__ import annotations

import shlex
import sys

import psutil


def test_the_simulator_is_a_server_like_any_other(suite):
    """Started, spoken to, put under load, watched by its own metrics, and gone at the end."""
    run = suite(
        """
import pathlib

@pytest.mark.load(users=40, requests=120)
@pytest.mark.error_rate(max=0)
@pytest.mark.latency(p50_ms=30000)
@pytest.mark.resources(queue=5)
@pytest.mark.no_log_errors
def test_it(llm_load, llm_endpoint, llm_server):
    pathlib.Path("pid").write_text(str(llm_server.pid))
    assert llm_endpoint.generate("[0f3c9a21] Copy the code.").text.startswith("[0f3c9a21] ")
    assert llm_load().ttft_ms.p50 > 4
""",
        "--llm-endpoint=simulator",
    )
    server = run.tests[0]["server"]
    assert (server["api"], server["model"]) == ("openai-chat", "simulator"), run.text
    assert run.tests[0]["runs"][0]["counts"]["ok"] == 120
    verdicts = {verdict["check"]: verdict["verdict"] for verdict in run.verdicts}
    assert verdicts["error_rate"] == "pass"
    assert verdicts["no_log_errors"] == "pass"
    (queue,) = (verdict for verdict in run.verdicts if verdict["check"] == "resources")
    assert queue["estimate"] is not None, queue["sentence"]
    assert not psutil.pid_exists(int((suite.pytester.path / "pid").read_text()))


def test_the_simulator_with_one_face_is_known_by_it(suite):
    """Options are given by --llm-serve; its OpenAPI document tells `auto` of a plain JSON server."""
    run = suite(
        """
def test_it(llm_endpoint):
    assert llm_endpoint.generate("Was the sentiment good? I loved it.").text == "positive"
""",
        "--llm-serve",
        f"{shlex.quote(sys.executable)} -m pytest_llmserve.simulator --port {{port}} --face json",
    )
    assert run.exit == 0, run.text
    assert run.tests[0]["server"]["api"] == "json"

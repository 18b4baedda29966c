"""LitServe: each chunk has another id, counts of tokens are all 0; and a plain POST /predict."""

from __future__ import annotations

import psutil
import pytest

from tests.real.environments import APPS, python_of
from tests.real.serving import served, session


def command(app):
    return [python_of("litserve"), str(APPS / app), "--port", "{port}"]


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    with served(command("litserve_openai.py"), tmp_path_factory.mktemp("litserve")) as server:
        yield server


def test_its_chat_is_found_out_and_tokens_are_counted_as_pieces(chat):
    """Counts of 0 are no counts; pieces of one answer belong together though their ids differ."""
    assert chat.endpoint.api == "openai-chat"
    reply = chat.endpoint.generate("one two three four")
    assert reply.ok, reply
    assert reply.text.split() == ["one", "two", "three", "four"]
    assert (reply.output_tokens, reply.tokens_from) == (4, "estimated")
    assert len(reply.record.token_ns) == 4


def test_wrong_bodies_are_refused_with_a_reason(chat):
    """And the next request is answered."""
    refused = chat.endpoint.send({"messages": 5})
    assert (refused, refused.status) == ("http_4xx", 422)
    assert "Input should be a valid list" in refused.error
    assert chat.endpoint.generate("one").ok


def test_an_error_inside_the_stream_is_found(chat):
    """It answers 200, then one event that holds an error and has no empty line behind it."""
    reply = chat.endpoint.generate("fail")
    assert reply.outcome == "server_error_in_stream", reply
    assert "Internal Server Error" in reply.record.error


def test_a_load_on_predict_and_no_process_stays(tmp_path):
    """Asked with a request of its own; all of its processes are watched, and end with it."""
    asked = {"json_request": '{"input": "{prompt}"}', "json_answer": "output"}
    suite = """
@pytest.mark.load(users=4, requests=40)
@pytest.mark.error_rate(max=0)
@pytest.mark.resources(rss_mb=20000)
def test_it(llm_load, llm_endpoint):
    assert llm_endpoint.generate("one two three").text == "three two one"
    llm_load("one two")
"""
    with served(
        command("litserve_predict.py"), tmp_path / "server", path="/predict", api="json", **asked
    ) as server:
        done = session(
            tmp_path / "suite",
            suite,
            f"--llm-endpoint={server.base}/predict",
            f"--llm-json-request={asked['json_request']}",
            f"--llm-json-answer={asked['json_answer']}",
        )
        pids = server.process.pids()
    assert done.exit == 0, done.text
    assert done.run["counts"]["ok"] == 40
    assert done.run["resources"]["processes_peak"] == len(pids) > 2
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []

"""LitServe: each chunk has another id, counts of tokens are all 0; and a plain POST /predict."""

from __future__ import annotations

import psutil
import pytest

from tests.real.environments import APPS, python_of
from tests.real.serving import joined, served, session


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


def test_a_plain_predict_is_found_out_and_no_process_stays(tmp_path):
    """POST /predict {"input"}, which nothing describes; all its processes are watched, and end with it."""
    suite = """
@pytest.mark.load(users=4, requests=40)
@pytest.mark.error_rate(max=0)
@pytest.mark.resources(rss_mb=20000)
def test_it(llm_load, llm_endpoint, llm_server):
    import pathlib, psutil
    pids = [llm_server.pid, *(child.pid for child in psutil.Process(llm_server.pid).children(True))]
    pathlib.Path("pids").write_text(" ".join(map(str, pids)))
    assert llm_endpoint.because.startswith('POST /predict answers {"input": "Say hi."}')
    assert llm_endpoint.generate("one two three").text == "three two one"
    llm_load("one two")
"""
    done = session(tmp_path / "suite", suite, f"--llm-serve={joined(command('litserve_predict.py'))}")
    assert done.exit == 0, done.text
    assert done.run["counts"]["ok"] == 40
    pids = [int(pid) for pid in (tmp_path / "suite" / "pids").read_text().split()]
    assert done.run["resources"]["processes_peak"] == len(pids) > 2
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []

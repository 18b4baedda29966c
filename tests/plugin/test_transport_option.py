"""--llm-transport: chosen, labelled, and refused by name."""

from __future__ import annotations

import re

import pytest

LOAD = """
@pytest.mark.load(users=2, requests=20)
@pytest.mark.latency(max_ms=60000)
def test_it(llm_load):
    llm_load("Say hi.")
"""


@pytest.mark.parametrize("source", ["option", "ini"])
def test_the_httpx_transport_is_chosen_and_labelled(suite, quick, source):
    """In the plan, the generator's health, the summary, and every latency verdict."""
    if source == "ini":
        suite.pytester.makeini("[pytest]\nllm_transport = httpx")
    run = suite(LOAD, "--llm-endpoint", quick.url, *(["--llm-transport=httpx"] if source == "option" else []))
    assert run.exit == 0, run.text
    (found,) = run.tests[0]["runs"]
    assert found["plan"]["transport"] == found["generator"]["transport"] == "httpx"
    assert (found["generator"]["protocols"], found["generator"]["clock"]) == (["HTTP/1.1"], "user")
    assert found["counts"]["ok"] == 20
    assert re.search(r"^  generator: httpx transport \(HTTP/1\.1\), user stamps, CPU \d+ %", run.text, re.M)
    assert "stamps taken by httpx, its own delay included" in run.verdicts[0]["sentence"]


def test_sockets_are_the_default_and_say_nothing(suite, quick):
    """The summary and the verdicts are as ever."""
    run = suite(LOAD, "--llm-endpoint", quick.url, "-v")
    assert run.exit == 0, run.text
    assert run.tests[0]["runs"][0]["generator"]["transport"] == "sockets"
    assert re.search(r"^  generator: \w+ stamps, CPU \d+ %", run.text, re.M)
    assert "httpx" not in run.verdicts[0]["sentence"]


def test_an_unknown_transport_is_a_usage_error(suite, quick):
    """Before the first test, with the names there are."""
    run = suite(LOAD, "--llm-endpoint", quick.url, "--llm-transport=pigeon")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --llm-transport: no transport 'pigeon'; known: sockets, httpx" in run.text


def test_the_repeat_command_keeps_the_transport(suite, quick):
    """Figures of one transport are not repeated with another."""
    body = LOAD.replace("60000", "0.001")
    run = suite(body, "--llm-endpoint", quick.url, "--llm-transport=httpx")
    assert run.failure("test_it")[-1] == (
        f"repeat: pytest test_suite.py::test_it --llm-endpoint={quick.url} --llm-transport=httpx"
    )

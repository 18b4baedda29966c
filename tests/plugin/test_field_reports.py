"""The requests of three field reports work as they stand, with nothing but the server's address."""

from __future__ import annotations

import contextlib
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.serve.ready import wait_ready

SERVERS = Path(__file__).parents[1] / "servers"
APPS = runpy.run_path(str(SERVERS / "field_reports.py"))
TWO_JOBS = SERVERS / "two_jobs_app.py"
MIX = """
from pytest_llmserve import Task

EMOTION = Task("emotion", ["I hate rain.", "I like rain."], {"positive", "negative"}, EMOTION_KEYWORDS)
CHAT = Task("chat", ["I like rain."], "^Tell me more of")

@pytest.mark.isolation
def test_both_jobs_at_once(llm_tasks):
    llm_tasks(EMOTION, CHAT, users=4, requests=24, alone=4, canaries=False)
"""


LOAD = """
@pytest.mark.load(users=5, requests=50)
@pytest.mark.error_rate(max=0)
def test_it(llm_load, llm_endpoint):
    assert llm_endpoint.generate("(1+2)*3^4").text == "ANSWER: (1+2)*3^4"
    llm_load("What is 2+2?")
"""


@pytest.mark.parametrize(
    ("app", "path", "api", "answer"),
    [("Reasoning", "/generate", "json", "Thought about"), ("GradioLike", "/run", "gradio", "You said")],
)
def test_one_path_with_json_in_and_out(suite, serving, app, path, api, answer):
    """POST /generate {"prompt"} and POST /run {"data"}, asked and loaded; the path may be left out."""
    with serving(APPS[app]) as server:
        run = suite(LOAD.replace("ANSWER", answer), f"--llm-endpoint={server.url}")
        named = wait_ready(target_from_url(server.url + path), limit_ns=10 * NS_PER_S)
        with contextlib.closing(named):
            assert (named.api, named.generate("hello").text) == (api, f"{answer}: hello")
    assert run.exit == 0, run.text
    assert (run.tests[0]["server"]["api"], run.tests[0]["runs"][0]["counts"]["ok"]) == (api, 50)


def test_two_jobs_at_two_paths(suite, serving):
    """The URL names one, a task the other; what they take is told, as nothing describes it."""
    with serving(APPS["TwoPaths"]) as server:
        run = suite(
            MIX.replace("EMOTION_KEYWORDS", "path='/sentiment'"),
            f"--llm-endpoint={server.url}/chat",
            '--llm-json-request={"text": "{prompt}"}',
        )
    assert run.exit == 0, run.text
    assert run.tests[0]["runs"][0]["counts"]["failed"] == 0


def test_two_jobs_by_a_field(suite):
    """What the app describes is enough: its path, its text, and a value for the field."""
    serve = f"{shlex.quote(sys.executable)} {shlex.quote(str(TWO_JOBS))} --port {{port}}"
    run = suite(MIX.replace("EMOTION_KEYWORDS", "params={'task': 'emotion'}"), "--llm-serve", serve)
    assert run.exit == 0, run.text
    because = run.tests[0]["server"]["because"]
    assert because.startswith("/openapi.json describes POST /infer with a text 'text', task 'chat'; ")
    assert run.tests[0]["runs"][0]["counts"]["failed"] == 0

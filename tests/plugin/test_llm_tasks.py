"""llm_tasks(): a mix of tasks, from the call to the report."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler

import pytest


class Echo(BaseHTTPRequestHandler):
    """A healthy model that does as it is told: it answers with the mark, and then by the question."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": "echo", "object": "model"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["messages"][-1]["content"]
        self.server.asked.append((self.path, body))
        mark = re.search(r"\[[0-9a-f]{8}\]", asked)
        said = (
            f"{mark[0] if mark else ''} {'glad' if 'feel' in asked else 'Paris' if 'France' in asked else ''}"
        )
        message = {"role": "assistant", "content": said}
        self.answer({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    def answer(self, document):
        data = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def echo(serving):
    with serving(Echo) as server:
        yield server


BODY = """
from pytest_llmserve import Task

@pytest.mark.load(users=4, requests=24)
@pytest.mark.error_rate(max=0)
def test_it(llm_tasks):
    mix = llm_tasks(
        Task("capitals", ["The capital of France?", "Of France, the capital?"], check="Paris"),
        Task("emotion", "Do they feel?", check={"glad"}, params={"top_p": 1}, path="/v1/own"),
        alone=4,
        aborts=0.2,
    )
    assert mix.tasks == ("capitals", "emotion", "canary")
    assert [mix.share_right(name) for name in mix.tasks] == [1, 1, 1], mix
    assert (mix.right, len(mix.right_alone), len(mix.together.requests)) == (1, 12, 24)
    assert mix.repeatable and mix.like == {} and 1 <= len(mix.aborted) <= 5
    ours = {r.id: r.text for r in mix.together.requests}
    assert {r.id: r.text for r in mix.alone.requests} == {i: ours[i] for i in range(12)}
    assert mix.together.tasks == mix.tasks and len(mix.together.by_task("emotion").requests) == 8
"""


def test_a_mix_of_tasks_is_asked_alone_and_together(suite, echo, tmp_path):
    """What ran together is the run that markers judge; figures by task; a line a request in the log."""
    echo.asked.clear()
    log = tmp_path / "requests.log"
    log.write_text("of another session\n")
    run = suite(BODY, "--llm-endpoint", echo.url, "--llm-request-log", log, "-v")
    assert run.exit == 0, run.text
    (found,) = run.tests[0]["runs"]
    assert (found["plan"]["users"], found["counts"]["sent"]) == (4, 24)
    assert [(row["task"], row["n"], row["failed"]) for row in found["tasks"]] == [
        ("capitals", 8, 0),
        ("emotion", 8, 0),
        ("canary", 8, 0),
    ]
    assert re.search(r"^  emotion +8 +0 ", run.text, re.MULTILINE)
    sent = [(path, body) for path, body in echo.asked if "feel" in body["messages"][-1]["content"]]
    assert {(path, body["temperature"], body["top_p"]) for path, body in sent} == {("/v1/own", 0, 1)}
    lines = log.read_text().splitlines()
    assert len(lines) == 12 + 24
    form = r'\[REQ-(\w{4})\] TASK=\w+ INPUT="(.*\\n)?\[\w{4}\1\] .*" -> OUTPUT="\[\w{4}\1\] .*"'
    assert [re.match(form, line) is not None for line in lines] == [True] * 36, lines
    alone = {line.split()[0] for line in lines if " RUN=alone " in line}
    assert len(alone) == 12
    assert alone < {line.split()[0] for line in lines if " RUN=1 " in line}


def test_faults_are_told_with_the_line_of_the_call(suite, echo):
    """Those of keywords and tasks together; a check that raises is one, and not a wrong answer."""
    run = suite(
        """
import asyncio
from pytest_llmserve import Task

CAPITALS = Task("capitals", ["The capital of France?"], check=lambda text: text["no"])

def test_keywords(llm_tasks):
    llm_tasks(Task("a b", "x"), user=3)

def test_options(llm_tasks):
    asyncio.run(llm_tasks.arun(CAPITALS, alone="no", requests=2))

def test_no_task(llm_tasks):
    llm_tasks(on_progress=5)

@pytest.mark.error_rate(max=0)
def test_check(llm_tasks):
    llm_tasks(CAPITALS, requests=2, alone=False, canaries=False)

""",
        "--llm-endpoint",
        echo.url,
    )
    run.assert_outcomes(failed=4)
    assert run.failure("test_keywords") == [
        "test_suite.py:10: llm_tasks: no keyword 'user', did you mean users?; task 1 ('a b'): the name 'a b'"
        ' is not of letters, digits, "-" and "_" alone, at most 64 of them'
    ]
    assert run.failure("test_options") == [
        "test_suite.py:13: llm_tasks: alone='no': give True, False, or how many requests of each task are"
        " asked alone first"
    ]
    assert run.failure("test_no_task")[0].startswith(
        "test_suite.py:16: llm_tasks: on_progress=5 cannot be called: give a function of one argument, a"
        " LoadProgress; no tasks: give one or more"
    )
    (told,) = [line for line in run.failure("test_check") if "raised" in line]
    assert told == (
        "test_suite.py:20: the check of task 'capitals' raised TypeError: string indices must be integers,"
        " not 'str' at test_suite.py:7 on the answer to request 0: a check takes an answer's text and returns"
        " whether it is right, whatever the text"
    )
    assert len(run.tests[3]["runs"]) == 1


def test_prompts_by_task_are_a_mix_without_checks(suite, quick):
    """Of llm_load too."""
    run = suite(
        """
def test_it(llm_load):
    result = llm_load({"chat": ["a", "b"], "emotion": "c"}, users=2, requests=8)
    assert result.tasks == ("chat", "emotion") or result.tasks == ("emotion", "chat")
    assert len(result.by_task("emotion").ok) == 4
""",
        "--llm-endpoint",
        quick.url,
    )
    assert run.exit == 0, run.text


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (".", "{folder}: is a folder; name a file"),
        ("gone/a.log", "{folder}/gone/a.log: there is no folder {folder}/gone; check the path"),
        ("/dev/full", "/dev/full: cannot be written: No space left on device; name a file that can be"),
        (
            "/proc/a.log",
            "/proc/a.log: cannot be written: No such file or directory; name a file that can be",
        ),
    ],
)
def test_a_log_that_cannot_be_is_told_at_the_start(suite, path, fault):
    run = suite(
        "def test_it(llm_load): pass", "--llm-endpoint=http://127.0.0.1:9", f"--llm-request-log={path}"
    )
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    folder = suite.pytester.path
    assert f"ERROR: --llm-request-log {fault.format(folder=folder)}" in run.text


def test_a_log_that_cannot_be_written_fails_the_test(suite, quick):
    """It was asked for; a session that is green without it would hide that."""
    run = suite(
        """
import os
def test_it(llm_load):
    os.symlink('/dev/full', 'a.log')
    llm_load('x', requests=1)
""",
        f"--llm-endpoint={quick.url}",
        "--llm-request-log=a.log",
    )
    assert run.exit == 1
    assert run.failure("test_it") == [
        f"test_suite.py:7: --llm-request-log {suite.pytester.path}/a.log: cannot be written: No space left on"
        " device; name a file that can be"
    ]

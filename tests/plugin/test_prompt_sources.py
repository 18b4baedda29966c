"""Conversations and files of prompts in whole sessions."""

from __future__ import annotations

import json

TALKS = """
from pytest_llmserve import Task
from pytest_llmserve.prompts import Conversation, shared_prefix

TALK = Conversation(["Hi", "And then?"], system="Be brief.")

@pytest.mark.load(users=2, requests=12)
def test_talk(llm_load):
    result = llm_load([TALK, "Plain."])
    assert [row["turn"] for row in result.turns] == [1, 2]

def test_shared(llm_load):
    llm_load(shared_prefix(chars=100), users=1, requests=3)

def test_file(llm_load):
    llm_load(users=1, requests=4)

def test_open(llm_load):
    llm_load(TALK, rate=5, requests=2)

def test_tasks(llm_tasks):
    mix = llm_tasks(Task("talk", [TALK], "."), users=2, requests=20, aborts=0)
    assert mix.together.turns[1]["counts"]["failed"] == 0

@pytest.mark.isolation
def test_own_mark_in_the_history(llm_load):
    llm_load(TALK, users=2, requests=60)
"""


def test_a_session_of_conversations_and_files(suite, mock_server, tmp_path):
    """Rows a turn in report and summary; the file is named and none of its texts; marks of one's own history
    accuse nobody."""
    server = mock_server("--ttft-ms", 2, "--itl-ms", 1, "--tokens", 5, "--repeat-mark")
    (suite.pytester.path / "q.jsonl").write_text('{"question": "Secret one?"}\n{"question": "Secret two?"}\n')
    run = suite(TALKS, "--llm-endpoint", server.url, "--llm-prompts", "q.jsonl:question", "-v")
    outcomes = {test["nodeid"].partition("::")[2]: test["outcome"] for test in run.tests}
    assert outcomes == {
        "test_talk": "passed",
        "test_shared": "passed",
        "test_file": "passed",
        "test_open": "failed",
        "test_tasks": "passed",
        "test_own_mark_in_the_history": "passed",
    }, run.text
    runs = {test["nodeid"].partition("::")[2]: test["runs"][0] for test in run.tests if test["runs"]}
    turns = runs["test_talk"]["turns"]
    assert [row["turn"] for row in turns] == [1, 2]
    assert set(turns[0]) == {"turn", "counts", "input_chars", "metrics"}
    assert turns[1]["input_chars"] > turns[0]["input_chars"]
    plan = runs["test_file"]["plan"]
    assert (plan["prompts_from"], plan["prompt_count"]) == ("q.jsonl", 2)
    assert plan["text"] == "1 user, 4 requests, 2 prompts of q.jsonl"
    assert "turns" not in runs["test_file"]
    assert runs["test_shared"]["plan"]["prompts_from"] is None
    assert "Secret" not in json.dumps(run.document)
    heads = ["turn", "n", "failed", "characters", "TTFT", "p50", "p95", "e2e", "p50", "p95"]
    assert heads in [line.split() for line in run.result.outlines]
    assert "give users= or stages=, not rate=" in run.text


def test_a_wrong_file_of_prompts_ends_the_session_before_it_begins(suite, quick):
    """With every other fault of the options."""
    (suite.pytester.path / "q.jsonl").write_text('{"question": "x"}\n{}\n')
    run = suite(
        "def test_it(): pass", "--llm-endpoint", quick.url, "--llm-prompts=q.jsonl:question", "--llm-scale=0"
    )
    assert run.exit == 4
    path = suite.pytester.path / "q.jsonl"
    assert f"--llm-prompts: prompts {path}, line 2: has no field 'question': it has no field" in run.text
    assert "--llm-scale 0.0: give a number over 0, such as 0.1" in run.text

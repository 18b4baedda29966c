"""isolation through a whole session: answers that change places, and tasks asked alone and together."""

from __future__ import annotations

import re

SWAPS = """
@pytest.mark.isolation
@pytest.mark.load(users=4, requests=60, max_tokens=2)
def test_swaps(llm_load):
    llm_load()

@pytest.mark.isolation()
def test_unmarked(llm_load):
    llm_load(users=4, requests=4, nonce=False)

@pytest.mark.isolation
def test_no_run(llm_endpoint):
    pass
"""

MIX = """
from pytest_llmserve import Task

@pytest.mark.isolation(same_answers=0.5)
def test_mix(llm_tasks):
    says = Task("says", ["Hello.", "Good morning."], "red")
    silent = Task("silent", ["Hush."], lambda text: "nothing" in text)
    llm_tasks(says, silent, users=3, requests=120, alone=20, aborts=0)
"""


def test_answers_with_the_mark_of_another_request_fail(suite, mock_server):
    """Named in pairs, in the text and the report, without a word of the answers; no mark is no evidence."""
    server = mock_server("--repeat-mark", "--swap-every", 10)
    run = suite(SWAPS, f"--llm-endpoint={server.url}")
    run.assert_outcomes(failed=3)
    said = run.failure("test_swaps")
    assert said[0] == "isolation: 6 of 60 answers carried another request's mark"
    assert said[2] == "answers with something of another request, 5 of 6:"
    pair = r"  id \d+ \(at \d\.\d s\) carried \[[0-9a-f]{8}\] of id \d+ \(at \d\.\d s\) at character 0, .+"
    assert all(re.fullmatch(pair, line) for line in said[3:8]), said
    assert "red" not in "\n".join(said[:8])
    answers = run.verdicts[0]["answers"]
    assert (answers["answers"], answers["repeated"], answers["guilty"]) == (60, 54, 6)
    first = answers["carried"][0]
    assert (first["at_char"], first["answer"]["id"] != first["owner"]["id"]) == (0, True)
    assert run.failure("test_unmarked")[0] == (
        "isolation: no evidence, no prompt carried a mark (nonce=False): leave it out, or ask through"
        " llm_tasks"
    )
    assert run.failure("test_no_run")[0] == (
        "isolation: no evidence, no load ran in this test: call llm_load()"
    )


def test_a_mix_of_tasks_is_judged_and_told_by_task(suite, mock_server):
    """A task whose check never holds fails; the figures of each are in the summary and the report."""
    run = suite(MIX, f"--llm-endpoint={mock_server('--repeat-mark').url}")
    run.assert_outcomes(failed=1)
    silence, says, silent, canary, same = run.verdicts
    assert silence["sentence"] == (
        "isolation: no answer carried another request's mark: 120 of 120 repeated their own,"
        " so a swap in 2.5% of the requests would have been seen at 95%"
    )
    alike = "100% right alone, 100% at 3 users (n=20 alike, of 2 prompts only, p=1)"
    assert says["sentence"].startswith(f"says: {alike}: ")
    assert silent["sentence"] == (
        "right answers of silent: no evidence, none of its 20 answers was right alone:"
        " its check or its prompts are wrong"
    )
    assert [v["verdict"] for v in (silence, says, canary, same)] == ["pass"] * 4
    (mix,) = (measured["mix"] for measured in run.tests[0]["runs"])
    assert (mix["asked_alone"], mix["repeatable"], mix["aborted"]) == (60, True, 0)
    task = {"task": "says", "n": 40, "right": 1.0, "n_alone": 20, "right_alone": 1.0}
    assert mix["tasks"][0] == task | {"n_both": 20, "same_answers": 1.0}
    assert "  silent: 40 answers, right 0%, 0% of 20 alone, same words 100%" in run.text

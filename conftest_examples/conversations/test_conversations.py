"""People who talk to the model, questions of a file, and instructions that many requests share.

pytest conftest_examples/conversations --llm-endpoint=embedded
"""

import pytest

from pytest_llmserve.prompts import of_lengths, shared_prefix


@pytest.mark.load(users=4, requests=120, think_time=("50ms", "100ms"), warm_up="2s", max_tokens=16)
@pytest.mark.latency(ttft_p95_ms=10_000)
@pytest.mark.error_rate(max=0.02)
def test_talks_are_carried_on(llm_load, talks):
    result = llm_load(talks)
    assert [row["turn"] for row in result.turns] == [1, 2, 3]
    assert result.turns[2]["input_chars"] > result.turns[0]["input_chars"]


@pytest.mark.load(users=2, requests=80, max_tokens=4)
@pytest.mark.error_rate(max=0.02)
def test_questions_of_a_file_are_answered(llm_load, questions):
    llm_load(questions)


@pytest.mark.load(users=2, requests=60, max_tokens=4)
@pytest.mark.error_rate(max=0.02)
def test_instructions_that_all_share_are_no_burden(llm_load, questions):
    """Where the server caches them. The second load has instructions of its own for each prompt."""
    shared = llm_load(shared_prefix(questions, chars=2000))
    own = llm_load(shared_prefix(questions, chars=2000, groups=60, seed=1))
    assert shared.ttft_ms.p50 < 1.5 * own.ttft_ms.p50 + 5


@pytest.mark.load(users=2, requests=60, max_tokens=4)
@pytest.mark.error_rate(max=0.02)
def test_questions_of_any_length_are_answered(llm_load):
    llm_load(of_lengths("lognormal(60, 40)", count=30))

"""Has it become slower? Against a kept run, against a second server, and one way of asking against another.

pytest conftest_examples/regression --llm-endpoint=http://127.0.0.1:8000 --llm-save=main
pytest conftest_examples/regression --llm-endpoint=http://127.0.0.1:8000 --llm-compare=main
"""

import os

import pytest

# A server to compare with while the test runs, such as the version in use.
REFERENCE = os.environ.get("REFERENCE_URL")


@pytest.mark.load(users=4, requests=400, warm_up="2s", max_tokens=8)
@pytest.mark.no_regression(percent=20)
def test_it_is_no_slower_than_it_was(llm_load, questions):
    llm_load(questions)


@pytest.mark.skipif(REFERENCE is None, reason="no REFERENCE_URL to compare with")
@pytest.mark.load(users=4, requests=400, max_tokens=8)
@pytest.mark.no_regression(percent=20, metrics=["e2e_p50", "e2e_p95"])
def test_it_is_no_slower_than_the_one_in_use(llm_load, llm_endpoint, questions):
    llm_load.compare(llm_endpoint, REFERENCE, questions)


@pytest.mark.load(users=2, requests=120)
def test_a_short_answer_takes_less_time(llm_load, questions):
    short = llm_load.compare({"max_tokens": 2}, {"max_tokens": 16}, questions, rounds=4)
    assert short.shift("e2e_p50").high < 0

"""Acceptance tests of a model server. Copy them, and put your own limits in.

pytest conftest_examples/quickstart --llm-endpoint=embedded
pytest conftest_examples/quickstart --llm-endpoint=http://127.0.0.1:8000
"""

import pytest


def test_it_answers(llm_endpoint):
    reply = llm_endpoint.generate("What is the capital of France?", max_tokens=16)
    assert reply.ok
    assert reply.text.strip()


def test_the_first_token_comes_while_the_answer_is_written(llm_endpoint):
    reply = llm_endpoint.generate("Count from one to twenty.", max_tokens=24)
    assert reply.ok
    if llm_endpoint.target.stream:
        assert reply.ttft_ms < reply.e2e_ms


def test_it_knows_a_bad_request(llm_endpoint):
    outcome = llm_endpoint.send("this is no JSON")
    assert outcome == "http_4xx", outcome
    assert llm_endpoint.is_alive()


@pytest.mark.load(users=4, requests=300, warm_up="3s", max_tokens=6)
@pytest.mark.latency(p95_ms=20_000, ttft_p95_ms=10_000)
@pytest.mark.error_rate(max=0.02)
@pytest.mark.throughput(min_rps=0.2)
def test_four_users_are_served_in_time(llm_load, questions):
    llm_load(questions)


@pytest.mark.load(users=2, requests=40, max_tokens=16)
@pytest.mark.goodput(min=0.8, ttft_ms=10_000, e2e_ms=30_000)
def test_most_answers_meet_every_limit_at_once(llm_load, questions):
    llm_load(questions)


@pytest.mark.load(users=2, requests=60, max_tokens=8)
@pytest.mark.no_leak(mb=50)
@pytest.mark.usefixtures("llm_server")  # skips when the server's process is not known
def test_memory_comes_back_after_the_load(llm_load, questions):
    llm_load(questions)


@pytest.mark.load(users=4, duration="5s", max_tokens=8)
@pytest.mark.resources(open_files=2000, threads=500)
@pytest.mark.usefixtures("llm_server")
def test_the_server_stays_small(llm_load, questions):
    llm_load(questions)


def test_figures_can_be_asserted_by_hand(llm_load, questions):
    result = llm_load(questions, users=1, requests=8, max_tokens=8)
    assert result.error_rate == 0
    assert result.ttft_ms.p50 < 10_000

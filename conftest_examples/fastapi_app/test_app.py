"""Acceptance tests of app.py, which pytest.ini starts.

cd conftest_examples/fastapi_app && pytest
"""

import time

import pytest


def test_it_answers(llm_endpoint):
    reply = llm_endpoint.generate("one two three", max_tokens=2)
    assert reply.ok
    assert reply.text == "three two"


@pytest.mark.parametrize(
    "body",
    ["this is no JSON", {}, {"prompt": 5}, {"prompt": "x" * 5000}, {"prompt": "x", "max_tokens": -1}],
    ids=["no JSON", "no prompt", "wrong type", "too long", "no tokens"],
)
def test_it_knows_a_bad_request(llm_endpoint, body):
    outcome = llm_endpoint.send(body)
    assert outcome.status == 422, outcome
    assert llm_endpoint.is_alive()


@pytest.mark.load(users=4, requests=300, max_tokens=16)
@pytest.mark.latency(p99_ms=1000)
@pytest.mark.error_rate(max=0.01)
@pytest.mark.throughput(min_rps=5)
def test_four_users_are_served_in_time(llm_load, questions):
    llm_load(questions)


@pytest.mark.load(users=2, requests=200, warm_up="1s")
@pytest.mark.no_leak(mb=50)
@pytest.mark.resources(rss_mb=1000)
def test_memory_comes_back_after_the_load(llm_load, questions):
    llm_load(questions)


def test_it_comes_up_again(llm_server, llm_endpoint):
    before = llm_server.pid
    llm_server.restart()
    deadline = time.monotonic() + 30
    while not llm_endpoint.is_alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert llm_server.pid != before
    assert llm_endpoint.generate("one two").ok

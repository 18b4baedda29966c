"""What the server takes while it works: memory, files, threads, GPUs, its queue.

pytest conftest_examples/watching --llm-endpoint=embedded
pytest conftest_examples/watching --llm-endpoint=http://127.0.0.1:8000 --llm-report=report.json
pytest conftest_examples/watching --llm-endpoint=https://llm.example --llm-metrics-url=http://gpu1:8000/metrics

The report has the course of each figure, and under each failure what ran short. What is read, and from where:
docs/watching.md.
"""

import pytest


@pytest.mark.load(users=4, requests=120, warm_up="1s", max_tokens=8)
@pytest.mark.resources(rss_mb=16_000, open_files=2_000, threads=1_000)
@pytest.mark.no_leak(mb=200, settle="2s")
@pytest.mark.usefixtures("llm_server")  # skips when the server's process is not known
def test_four_users_leave_nothing_behind(llm_load, questions):
    llm_load(questions)


@pytest.mark.load(users=4, requests=40, max_tokens=8)
@pytest.mark.no_log_errors(allow=[r"ConnectionResetError"])
def test_the_log_tells_of_no_error(llm_load, llm_server, questions):
    if llm_server.log is None:
        pytest.skip("the server's log is not known: give --llm-server-log=FILE")
    llm_load(questions)


@pytest.mark.load(users=8, duration="5s", max_tokens=8)
@pytest.mark.error_rate(max=0.05)
def test_the_queue_stays_short(llm_load, questions, peak):
    llm_load(questions)
    assert peak("queue") <= 10


@pytest.mark.load(users=8, duration="5s", max_tokens=8)
@pytest.mark.error_rate(max=0.05)
def test_the_gpus_have_memory_to_spare(llm_load, questions, peak):
    llm_load(questions)
    assert peak("gpu_memory_percent") <= 92


def test_five_questions_open_few_files(llm_endpoint, peak):
    for _ in range(5):
        assert llm_endpoint.generate("Name three rivers.", max_tokens=8).ok
    assert peak("open_files") <= 2_000

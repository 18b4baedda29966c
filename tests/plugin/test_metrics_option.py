"""--llm-metrics-url: figures of the server and of exporters beside it, in a test and in the report."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest

PAGES = {
    "/metrics": 'vllm:num_requests_waiting{engine="0"} 11\nvllm:kv_cache_usage_perc{engine="0"} 0.75\n',
    "/gpus": 'DCGM_FI_DEV_POWER_USAGE{gpu="3",modelName="NVIDIA H200"} 402.5\n',
}
WAITS = """
import time

def test_it(llm_resources):
    deadline = time.monotonic() + 20
    while llm_resources.peak("queue") is None or llm_resources.peak("gpu_power_w") is None:
        assert time.monotonic() < deadline, llm_resources.window()
        time.sleep(0.02)
    assert llm_resources.peak("queue") == 11
    assert llm_resources.peak("host_available_mb") > 10
"""


@pytest.fixture
def pages(serving):
    """A server of pages; ``asked`` has the path and the key that each request brought."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append((self.path, self.headers["Authorization"]))
            found = PAGES.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write((found or "").encode())

        def log_message(self, *arguments):
            pass

    with serving(Answer) as server:
        yield server


def test_metrics_are_sampled_and_reported(suite, quick, pages, monkeypatch):
    """From all URLs given; the endpoint's key goes to none of them, they are of another origin."""
    monkeypatch.setenv("KEY", "sk-secret")
    urls = [f"--llm-metrics-url={pages.url}{path}" for path in PAGES]
    run = suite(WAITS, "--llm-endpoint", quick.url, "--llm-api-key-env=KEY", *urls)
    assert run.exit == 0, run.text
    resources = run.tests[0]["resources"]
    assert (resources["queue_peak"], resources["kv_cache_percent_peak"]) == (11, 75)
    assert resources["gpu_power_w_peak"] == 402.5
    assert resources["host_available_mb_median"] > 10
    absent = resources.get("absent", {})
    assert not {"metrics", "gpu", "host"} & set(absent)
    assert {path for path, _ in pages.asked} == set(PAGES)
    assert {key for _, key in pages.asked} == {None}


SHORT = """
@pytest.mark.resources(queue=11, rss_mb=4000, threads=5000)
def test_it(llm_load):
    run = llm_load("Say hi.", users=1, duration="0.6s")
    meanwhile = run.resources.between(run.start_ns, max(r.end_ns for r in run.requests))
    assert len(meanwhile.values("queue")) >= 2
"""


def test_metrics_are_read_while_a_load_runs_that_is_over_in_less_than_a_second(suite, quick, pages):
    """They are asked for once a second otherwise."""
    run = suite(SHORT, "--llm-endpoint", quick.url, f"--llm-metrics-url={pages.url}/metrics")
    assert run.exit == 0, run.text


def test_without_metrics_the_report_says_why(suite, quick):
    """Nothing else is said: a server need not have any."""
    run = suite("def test_it(llm_endpoint):\n    pass", "--llm-endpoint", quick.url)
    assert run.exit == 0, run.text
    assert run.tests[0]["resources"]["absent"]["metrics"] == (
        f"the server's metrics are not available, because {quick.url}/metrics answered 404;"
        " give --llm-metrics-url=URL"
    )
    assert "/metrics" not in run.text


def test_what_is_no_url_ends_the_session(suite, quick):
    """Before the first test; also from the ini."""
    suite.pytester.makeini("[pytest]\nllm_metrics_url = localhost:9400\n")
    run = suite("def test_it():\n    pass", "--llm-endpoint", quick.url)
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: --llm-metrics-url 'localhost:9400': give an http:// or https:// URL without user"
        " and password, such as http://127.0.0.1:8000/metrics"
    ) in run.text

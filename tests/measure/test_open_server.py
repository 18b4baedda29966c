"""From the server options to a server that answers, and the process behind it."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import psutil
import pytest

from pytest_llmserve.domain.errors import ServerUnusable, SetupError
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure import listener
from pytest_llmserve.measure.opening import ServerWish, open_server
from pytest_llmserve.serve.process import ForeignServer, ServerProcess

MOCK = Path(__file__).parents[1] / "servers" / "mock_server.py"
SERVE = f"{shlex.quote(sys.executable)} {shlex.quote(str(MOCK))} --port {{port}}"


def wish(**options):
    return ServerWish(**({"endpoint": None, "ready_ns": 30 * NS_PER_S} | options))


def test_a_url_is_opened_and_its_process_found(mock_server, tmp_path, monkeypatch):
    """By the port it listens on, looked up once; closing leaves it running."""
    server = mock_server()
    monkeypatch.setattr(listener, "owner_of", lambda target: pytest.fail("looked up again"))
    opened = open_server(wish(endpoint=server.url), tmp_path)
    try:
        assert opened.endpoint.generate("Say hi.").ok
        assert opened.pid == opened.listener.pid() == server.pid
        assert isinstance(opened.server, ForeignServer)
    finally:
        opened.close()
    assert server.is_alive()


def test_a_named_pid_wins_over_the_port(mock_server, tmp_path):
    """The user knows which process to watch."""
    opened = open_server(wish(endpoint=mock_server().url, server_pid=os.getpid()), tmp_path)
    opened.close()
    assert (opened.pid, opened.why) == (os.getpid(), "--llm-server-pid")


def test_a_command_is_started_and_closed(tmp_path):
    """In the folder given; once restarted it is another process; close() ends it."""
    opened = open_server(wish(serve=SERVE), tmp_path)
    assert isinstance(opened.server, ServerProcess)
    assert opened.endpoint.generate("Say hi.").ok
    pid = opened.pid
    assert psutil.pid_exists(pid)
    assert opened.renewed() is opened  # nothing is looked up anew for a test that changed nothing
    opened.server.restart()
    again = opened.renewed()
    assert again.pid == opened.server.pid != pid
    opened.close()
    assert not psutil.pid_exists(pid)
    assert not psutil.pid_exists(again.pid)


def test_a_server_that_does_not_get_ready_is_ended(tmp_path):
    """Its process is not left behind by the error."""
    with pytest.raises(ServerUnusable, match="still answered 503"):
        open_server(wish(serve=f"{SERVE} --loading-s 600", ready_ns=NS_PER_S), tmp_path)
    command_lines = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"])]
    assert not any(str(MOCK) in (c or []) and "600" in c for c in command_lines)


def test_options_reach_the_target(mock_server, tmp_path):
    """API, model and headers as given."""
    options = {"api": "openai-completions", "model": "other", "headers": ("X-A: b",)}
    opened = open_server(wish(endpoint=mock_server().url, **options), tmp_path)
    opened.close()
    target = opened.endpoint.target
    assert (target.api, target.model, target.headers) == ("openai-completions", "other", (("X-A", "b"),))


def test_no_server_named_is_the_users_fault(tmp_path):
    """Says which options name one."""
    with pytest.raises(SetupError) as caught:
        open_server(wish(), tmp_path)
    assert str(caught.value) == "no endpoint: give --llm-endpoint=URL, --llm-endpoint=embedded or --llm-serve"

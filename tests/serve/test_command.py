"""--llm-serve as a command."""

from __future__ import annotations

import socket
import sys

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.serve.command import command_from, free_port


def test_port_goes_into_every_place():
    """Each {port} is replaced; quotes group words; other braces stay."""
    template = f"{sys.executable} -c 'a b' --port={{port}} --url http://h:{{port}} '{{\"x\": 1}}'"
    assert command_from(template, 81) == [
        sys.executable, "-c", "a b", "--port=81", "--url", "http://h:81", '{"x": 1}',
    ]  # fmt: skip


def test_assignments_go_to_env():
    """Variables before the command work as in a shell."""
    assert command_from(f"A=1 B=x{{port}} {sys.executable}", 81) == ["env", "A=1", "B=x81", sys.executable]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "vllm serve m",
            "--llm-serve 'vllm serve m' has no {port}: write {port} where the server takes its port,"
            " such as 'CMD --port {port}'",
        ),
        ("x 'y {port}", """--llm-serve "x 'y {port}" cannot be split into words: No closing quotation"""),
        (
            "no-such-server --port {port}",
            "--llm-serve 'no-such-server --port {port}': command 'no-such-server' not found:"
            " give its full path or put its folder on PATH",
        ),
        (
            "A={port}",
            "--llm-serve 'A={port}': command '' not found: give its full path or put its folder on PATH",
        ),
    ],
)
def test_what_is_wrong_is_told(template, message):
    """Each fault of the text is named, with what to write instead."""
    with pytest.raises(SetupError) as caught:
        command_from(template, 81)
    assert str(caught.value) == message


def test_free_port_can_be_bound():
    """The port is free."""
    port = free_port()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        assert probe.getsockname() == ("127.0.0.1", port)

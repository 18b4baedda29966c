"""--llm-serve as a command."""

from __future__ import annotations

import socket
import sys

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.serve.command import check_command, command_from, free_port, placeholders


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
            " such as 'CMD --port {port}'; one that listens at the same port always is named with it, such as"
            " --llm-endpoint=http://127.0.0.1:8000",
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
        check_command(template)
    assert str(caught.value) == message


def test_what_waits_for_values_is_not_a_fault():
    """A program that is a placeholder, and a port that an endpoint names beside the command."""
    check_command("{python} app.py --port {port}")
    check_command(f"{sys.executable} app.py", port_is_fixed=True)
    with pytest.raises(SetupError, match="command 'no-such-python' not found"):
        command_from("{python} app.py", 81, {"python": "no-such-python"})


def test_values_stand_for_their_placeholders():
    """One word stays one word, whatever its value; assignments and parts of words take values too."""
    template = f"OMP_NUM_THREADS={{threads}} {sys.executable} -w={{workers}} {{name}} --port {{port}}"
    values = {"threads": 2, "workers": 0.5, "name": "two words"}
    assert placeholders(template) == ("threads", "workers", "name", "port")
    assert command_from(template, 81, values) == [
        "env", "OMP_NUM_THREADS=2", sys.executable, "-w=0.5", "two words", "--port", "81",
    ]  # fmt: skip


@pytest.mark.parametrize("flags", [(), ("--eager",), ("--max-num-seqs", "4")])
def test_a_list_is_so_many_words(flags):
    """Flags that one server has and another has not."""
    assert command_from(f"{sys.executable} {{flags}} {{port}}", 81, {"flags": flags}) == [
        sys.executable, *flags, "81",
    ]  # fmt: skip


def test_a_list_in_part_of_a_word_is_refused():
    """It could be meant as one text or as several."""
    with pytest.raises(SetupError) as caught:
        command_from(f"{sys.executable} -x={{flags}}", 81, {"flags": ("a", "b")})
    assert str(caught.value) == (
        f"--llm-serve '{sys.executable} -x={{flags}}': flags has several words, ['a', 'b'], but stands in"
        " '-x={flags}': give it a word of its own in the command, or one text as its value"
    )


@pytest.mark.parametrize(
    ("word", "filled"),
    [
        ('{"a": 1, "b": {"c": [2]}}', '{"a": 1, "b": {"c": [2]}}'),
        ("{a: 1}", "{a: 1}"),
        ("{a:1}", "{a:1}"),
        ("{}", "{}"),
        ("{ n }", "{ n }"),
        ("{1}", "{1}"),
        ("{{n}}", "{n}"),
        ("{{{n}}}", "{{n}}"),
        ('{"n": {n}}', '{"n": 7}'),
        ("{{ n }}", "{{ n }}"),
    ],
)
def test_braces_of_the_command_stay(word, filled):
    """Only a bare name counts; doubled braces around one are the way to write it."""
    template = f"{sys.executable} '{word}'"
    assert command_from(template, 81, {"n": 7}) == [sys.executable, filled]
    assert set(placeholders(template)) <= {"n"}


def test_free_port_can_be_bound():
    """The port is free."""
    port = free_port()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        assert probe.getsockname() == ("127.0.0.1", port)

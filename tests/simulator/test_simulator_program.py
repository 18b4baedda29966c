"""``python -m pytest_llmserve.simulator``: how it starts and ends, and that our own dialects speak to it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pytest_llmserve
from pytest_llmserve.dialects import DIALECTS, dialect
from pytest_llmserve.dialects.encoding import limited
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.serve.ready import wait_ready
from pytest_llmserve.simulator import command
from pytest_llmserve.simulator.cli import parser
from pytest_llmserve.simulator.faces import FACES

ENV = {**os.environ, "PYTHONPATH": str(Path(pytest_llmserve.__file__).parents[1])}
LIMIT_S = 20.0


def run(*options, python=()):
    """A simulator that ends by itself."""
    program = [sys.executable, *python, "-m", "pytest_llmserve.simulator", *options]
    return subprocess.run(program, env=ENV, capture_output=True, text=True, timeout=LIMIT_S)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A running one: its process, its URL, its log."""
    folder = tmp_path_factory.mktemp("simulator")
    log, port_file = folder / "log", folder / "port"
    with log.open("wb") as output:
        options = ["--port-file", str(port_file), "--tokens", "5"]
        process = subprocess.Popen([*command(0), *options], env=ENV, stdout=output, stderr=output)
    deadline = time.monotonic() + LIMIT_S
    while not port_file.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    yield process, f"http://127.0.0.1:{port_file.read_text()}", log
    process.kill()
    process.wait(LIMIT_S)


def test_auto_takes_it_for_an_openai_chat(started):
    """With model, stream and token counts; the answer carries the mark of its prompt."""
    _, url, log = started
    endpoint = wait_ready(target_from_url(url), limit_ns=NS_PER_S * 20)
    try:
        target = endpoint.target
        assert (target.api, target.model) == ("openai-chat", "simulator")
        assert (target.stream, target.stream_usage) == (True, True)
        reply = endpoint.generate("[1a2b3c4d] Say hi.")
    finally:
        endpoint.close()
    assert reply.text.startswith("[1a2b3c4d] ")
    assert (reply.output_tokens, reply.tokens_from, len(reply.record.token_ns)) == (5, "usage", 5)
    assert log.read_text().endswith('INFO 127.0.0.1 "POST /v1/chat/completions" 200\n')


@pytest.mark.parametrize("api", DIALECTS)
def test_every_dialect_of_ours_gets_an_answer(started, api):
    """The same words by each; Gradio has no field that limits their number."""
    _, url, _ = started
    target = target_from_url(url)
    endpoint = wait_ready(type(target)(**{**target_fields(target), "api": api}), limit_ns=NS_PER_S * 20)
    try:
        limit = next(iter(dialect(api).limit_names), "max_tokens")
        reply = endpoint.generate("Say hi.", **limited(limit, 3))
    finally:
        endpoint.close()
    assert reply.ok
    assert len(reply.text.split()) == (5 if api == "gradio" else 3)


def target_fields(target):
    return {name: getattr(target, name) for name in target.__struct_fields__}


def test_it_needs_nothing_but_python():
    """Not one package is in reach, for -S leaves them out: its faults are listed, and it listens."""
    done = run("--list-faults", python=["-S"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    listening = run("--port", "0", "--port-file", os.devnull + "/port", python=["-S"])
    assert listening.stderr.startswith("serving simulator at "), listening.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fault", "nope"], "error: --fault: no fault 'nope'; "),
        (["--slots", "-1"], "error: argument --slots: '-1' is not a whole number, 0 or more"),
        (["--itl-ms", "nan"], "error: argument --itl-ms: 'nan' is not a number, 0 or more"),
        (["--tokens", "0"], "error: argument --tokens: '0' is not a whole number, 1 or more"),
        (["--port", "65536"], "error: argument --port: '65536' is not a whole number, 0 to 65535"),
        (["--cliff", "5"], "error: argument --cliff: '5' is not TOKENS:MS, such as 4000:250\n"),
        (
            ["--cliff", "5:x"],
            "--cliff: '5:x' is not TOKENS:MS, such as 4000:250 ('x' is not a number, 0 or more)",
        ),
        (
            ["--fault", "slow_tail:every=0"],
            "error: --fault: fault slow_tail: every=0: give a whole number, 1 or more",
        ),
    ],
)
def test_a_wrong_option_is_told_before_anything_starts(options, message):
    """Exit status 2, as usual."""
    done = run(*options)
    assert done.returncode == 2
    assert message in done.stderr


def test_every_option_and_every_api_is_in_its_document():
    """And none that is gone."""
    page = (Path(pytest_llmserve.__file__).parents[1] / "docs" / "simulator.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.split("\n") if line.startswith("| `--"))
    flags = {flag for action in parser()._actions for flag in action.option_strings if flag[:2] == "--"}
    assert set(re.findall(r"--[a-z-]+", rows)) == flags - {"--help"}
    assert {face for face in FACES if f"| `{face}` |" in page} == set(FACES)


def test_a_port_that_is_taken_or_cannot_be_told_is_told(tmp_path):
    """And no traceback."""
    path = tmp_path / "none" / "port"
    done = run("--port", "0", "--port-file", str(path))
    assert done.returncode == 1
    assert done.stderr.endswith(f"cannot write --port-file {path}: No such file or directory\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--port", str(port))
    assert (done.returncode, done.stderr) == (
        1,
        f"cannot listen at 127.0.0.1:{port}: Address already in use\n",
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_and_without_a_word(tmp_path, number):
    """Whatever is under way; without --quiet it would have told the request."""
    port_file, log = tmp_path / "port", tmp_path / "log"
    with log.open("wb") as output:
        options = ["--port-file", str(port_file), "--ttft-ms", "60000"]
        process = subprocess.Popen([*command(0), *options], env=ENV, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + LIMIT_S
        while not port_file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        port = int(port_file.read_text())
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(
                b'POST /generate HTTP/1.1\r\nContent-Length: 15\r\n\r\n{"prompt": "x"}GET / HTTP/1.1\r\n\r\n'
            )
            begun = time.monotonic()
            process.send_signal(number)
            assert process.wait(LIMIT_S) == -number
            assert time.monotonic() - begun < 5
    finally:
        process.kill()
        process.wait(LIMIT_S)
    assert log.read_text() == f"serving simulator at http://127.0.0.1:{port}\n"

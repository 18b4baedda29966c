"""A flame graph over a while: written at its end, and no process left."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from pytest_llmserve.serve.profiling import Recording, not_recorded
from pytest_llmserve.serve.stacks import Ran


@pytest.fixture
def busy():
    """A Python process that computes."""
    with subprocess.Popen([sys.executable, "-c", "def spin():\n    while True: pass\nspin()"]) as process:
        time.sleep(0.3)
        yield process.pid
        process.kill()


def test_a_graph_is_written_when_recording_ends(busy, tmp_path):
    """With the function that used the time; the folder is made."""
    file = tmp_path / "graphs" / "a.svg"
    recording = Recording(busy, file, 60)
    recording.start()
    time.sleep(1.0)
    profile = recording.stop()
    assert profile.missing is None
    assert profile.file == str(file)
    assert profile.samples >= 3
    assert "spin" in file.read_text()


def test_a_server_that_never_ran_has_no_graph(tmp_path):
    """py-spy leaves a file that says nothing: it is removed."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as idle:
        time.sleep(0.3)
        recording = Recording(idle.pid, tmp_path / "a.svg", 60)
        recording.start()
        time.sleep(0.7)
        missing = recording.stop().missing
        idle.kill()
    assert missing == "no thread of Python's ran at any sample: the server waited all the time"
    assert not (tmp_path / "a.svg").exists()


def test_a_graph_that_is_not_written_in_time_is_left(tmp_path, monkeypatch):
    """As after Ctrl-C; no process is left, and no half of a file."""
    slow = tmp_path / "py-spy"
    slow.write_text(f"#!/bin/sh\ntrap '' INT\necho half > {tmp_path}/a.svg\nwhile :; do sleep 1; done\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    recording = Recording(1, tmp_path / "a.svg", 60)
    recording.start()
    deadline = time.monotonic() + 10
    while not (tmp_path / "a.svg").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert recording.stop(0.2).missing == "py-spy did not write it within 0.2 s"
    assert recording._process.returncode is not None
    assert not (tmp_path / "a.svg").exists()


def test_what_cannot_be_recorded_says_why(tmp_path):
    """A process that is not Python; a folder that cannot be made."""
    with subprocess.Popen(["sleep", "60"]) as other:
        recording = Recording(other.pid, tmp_path / "a.svg", 60)
        recording.start()
        time.sleep(0.3)
        missing = recording.stop().missing
        other.kill()
    assert missing == f"process {other.pid}: py-spy had found no Python in it when the load was over"
    (tmp_path / "file").write_text("")
    recording = Recording(other.pid, tmp_path / "file" / "a.svg", 60)
    recording.start()
    assert recording.stop().missing == f"File exists ({tmp_path / 'file'})"


NONE_FOUND = "Error: No python processes found in process 7 or any of its subprocesses"
MAY_NOT = "Error: Failed to get process executable name.\n\nCaused by:\n  0: Permission denied (os error 13)"
RIGHT = "process 7: this user may not: run pytest as root, or in a container with --cap-add=SYS_PTRACE"
EARLY = "process 7: py-spy had found no Python in it when the load was over"
OTHER = "process 7: it is not Python, or one that py-spy does not know"


@pytest.mark.parametrize(
    ("said", "dump", "told"),
    [
        (NONE_FOUND, Ran(fault=MAY_NOT), RIGHT),
        (NONE_FOUND, Ran(fault="Error: Failed to find python version from target process"), OTHER),
        (NONE_FOUND, Ran("Thread 7 (idle)"), EARLY),
        ("", Ran(fault=MAY_NOT), RIGHT),
        ("", Ran(fault="Error: Failed to find python version from target process"), EARLY),
        (MAY_NOT, None, RIGHT),
        ("Error: something else", None, "process 7: something else"),
    ],
)
def test_leave_that_is_missing_is_not_taken_for_another_language(said, dump, told):
    """`py-spy record` says the same of both; and of a profile nobody says that stacks were not read."""
    asked = []

    def run(command):
        asked.append(command[1:])
        return dump

    assert not_recorded(7, said, run) == told
    assert asked == ([] if dump is None else [["dump", "--nonblocking", "--pid", "7"]])

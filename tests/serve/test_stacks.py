"""What py-spy says, read; what it cannot do, told."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.stacks import Frame
from pytest_llmserve.serve.stacks import Ran, Spy, fault_text, last_lines, read_stacks, tail, threads_in

DUMP = """[{"pid": 7, "thread_id": 1, "thread_name": "worker", "os_thread_id": 9,
"active": false, "owns_gil": true,
"frames": [{"name": "f", "filename": "/srv/app.py", "module": null, "short_filename": "app.py", "line": 5,
"locals": null, "is_entry": true}]}, {"pid": 7, "thread_id": 2, "thread_name": null, "os_thread_id": 8,
"active": true, "owns_gil": false, "frames": []}]"""


def test_a_dump_is_read():
    """A thread without a name too."""
    worker, other = threads_in(DUMP)
    assert (worker.pid, worker.name, worker.active, worker.gil) == (7, "worker", False, True)
    assert worker.frames == (Frame("f", "app.py", 5),)
    assert (other.name, other.active) == ("", True)


def test_the_process_is_stopped_only_where_it_must_be():
    """First without; in a second try with, where the first could not make out the stacks."""
    asked = []

    def run(command):
        asked.append("--nonblocking" in command)
        return Ran(DUMP) if len(asked) == 2 else Ran(fault="Error: Failed to get stack")

    assert len(read_stacks("py-spy", 7, run)) == 2
    assert asked == [True, False]
    asked.append(True)
    assert read_stacks("py-spy", 7, lambda command: Ran("no json")).startswith(
        "process 7: stacks not read: py-spy wrote no JSON: "
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Error: Failed to get process executable name.\n\nCaused by:\n  0: Permission denied",
            "this user may not: run pytest as root, or in a container with --cap-add=SYS_PTRACE",
        ),
        (
            "Error: Failed to find python version from target process\n\nStack backtrace:\n  0: main",
            "it is not Python, or one that py-spy does not know",
        ),
        (
            "Error: No python processes found in process 7 or any of its subprocesses\n",
            "it is not Python, or one that py-spy does not know",
        ),
        ("Error: something else\nCaused by:\n", "something else"),
        ("", "py-spy said nothing"),
    ],
)
def test_what_py_spy_cannot_do_is_told_in_a_line(said, told):
    assert fault_text(7, said) == f"process 7: stacks not read: {told}"


def test_a_log_that_cannot_be_read_says_so(tmp_path):
    """Rotated away, or never written: what a test has found is told all the same."""
    log = tmp_path / "server.log"
    unread = f"its log {log} cannot be read: No such file or directory"
    assert tail(log, 20) == unread
    assert last_lines(log) == f"; {unread}"
    assert tail(tmp_path, 20) == f"its log {tmp_path} cannot be read: Is a directory"
    log.write_text("")
    assert last_lines(log) == ""
    log.write_text("a\nb\nc\n")
    assert last_lines(log, 2) == "; the last lines of its log:\nb\nc"


def test_all_commands_of_a_dump_have_one_deadline():
    """A program that hangs is ended."""
    spy = Spy(limit_s=0.3)
    assert spy.run(["sleep", "30"]).fault == "py-spy was not done within 0 s"
    assert spy.run(["true"]).fault is None
    spy.stop()
    assert spy.run(["true"]).fault == "the test was over"

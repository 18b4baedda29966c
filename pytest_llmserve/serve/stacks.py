"""What a server is doing: the stacks of its Python processes, by py-spy, and the end of its log."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from pytest_llmserve.domain.errors import MissingExtra
from pytest_llmserve.domain.stacks import Frame, ThreadStack

_LIMIT_S = 15.0
_TAIL_BYTES = 65_536


def tail(log: Path, lines: int) -> str:
    """The last lines of a log, of at most 64 KiB; where it cannot be read, why."""
    try:
        return _tail(log, lines)
    except OSError as error:
        return _unread(log, error)


def last_lines(log: Path, lines: int = 20) -> str:
    """The same, to be put behind how its server ended; empty when the log is."""
    try:
        text = _tail(log, lines)
    except OSError as error:
        return f"; {_unread(log, error)}"
    return f"; the last lines of its log:\n{text}" if text else ""


def _tail(log: Path, lines: int) -> str:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(text.rstrip().split("\n")[-lines:])


def _unread(log: Path, error: OSError) -> str:
    return f"its log {log} cannot be read: {error.strerror or error}"


def py_spy() -> str:
    """Path of the py-spy program.

    Raises:
        MissingExtra: it is neither on PATH nor beside this Python.
    """
    beside = Path(sys.executable).parent
    found = shutil.which("py-spy") or shutil.which("py-spy", path=str(beside))
    if found is None:
        raise MissingExtra("py-spy", "pip install 'pytest-llmserve[profile]'")
    return found


def stacks(pids: Iterable[int]) -> str:
    """The stacks of all threads of these processes, as text; where they cannot be read, why.

    Raises:
        MissingExtra: py-spy is not installed.
    """
    program = py_spy()
    run = Spy().run
    done = ((pid, run([program, "dump", "--pid", str(pid)])) for pid in pids)
    return "\n\n".join(r.out.strip() if r.fault is None else fault_text(pid, r.fault) for pid, r in done)


def read_stacks(
    program: str, pid: int, run: Callable[[list[str]], Ran] | None = None
) -> list[ThreadStack] | str:
    """The stacks of all threads of one process, or why they cannot be read.

    The process is not stopped for it, as it would be for tens of milliseconds; where its threads move
    so much that py-spy cannot make them out, it is, in a second try.

    Args:
        program: py-spy.
        pid: of the process.
        run: runs a command; by default with a limit of 15 s.
    """
    run = run or Spy().run
    ran = Ran()
    for manner in (["--nonblocking"], []):
        ran = run([program, "dump", "--json", *manner, "--pid", str(pid)])
        if ran.fault is None:
            try:
                return threads_in(ran.out)
            except msgspec.DecodeError as error:
                ran = Ran(fault=f"py-spy wrote no JSON: {error}")
    return fault_text(pid, ran.fault or "")


class Ran(NamedTuple):
    """What a command wrote to stdout, or why it came to nothing."""

    out: str = ""
    fault: str | None = None


class _Frame(msgspec.Struct):
    name: str
    filename: str
    short_filename: str | None = None
    line: int = 0


class _Thread(msgspec.Struct):
    pid: int
    frames: list[_Frame]
    thread_name: str | None = None
    active: bool = False
    owns_gil: bool = False


def threads_in(text: str) -> list[ThreadStack]:
    """What `py-spy dump --json` wrote.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    return [
        ThreadStack(
            pid=thread.pid,
            name=thread.thread_name or "",
            active=thread.active,
            gil=thread.owns_gil,
            frames=tuple(Frame(f.name, f.short_filename or f.filename, f.line) for f in thread.frames),
        )
        for thread in msgspec.json.decode(text, type=list[_Thread])
    ]


def fault_text(pid: int, said: str) -> str:
    """Why a process could not be read, in one line, from what py-spy said.

    Args:
        pid: of the process.
        said: py-spy's stderr: its error, causes and a trace of itself.
    """
    return f"process {pid}: stacks not read: {reason(said)}"


def reason(said: str) -> str:
    """What py-spy said, without the process."""
    if "permission" in said.lower() or "not permitted" in said.lower():
        return "this user may not: run pytest as root, or in a container with --cap-add=SYS_PTRACE"
    if has_no_python(said):
        return "it is not Python, or one that py-spy does not know"
    first = next((line.strip() for line in said.split("\n") if line.strip()), "py-spy said nothing")
    return first.removeprefix("Error: ")


def has_no_python(said: str) -> bool:
    """True where py-spy found no Python: `record --subprocesses` says so too where it may not look."""
    return "find python" in said.lower() or "no python" in said.lower()


def _be_gentle(pid: int) -> None:
    """Let it have only what the server and the load leave: it stops nobody, so it may take its time."""
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, 19)


class Spy:
    """Runs py-spy, one command at a time, until told to stop.

    Args:
        limit_s: for all its commands together.
    """

    def __init__(self, limit_s: float = _LIMIT_S) -> None:
        self._deadline = time.monotonic() + limit_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(self, command: list[str]) -> Ran:
        """Run a command and wait for its end."""
        try:
            with self._lock:
                if self._stopped:
                    return Ran(fault="the test was over")
                self._process = process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,  # Ctrl-C is for who started it to heed
                )
            if "--nonblocking" in command:
                _be_gentle(process.pid)
        except OSError as error:
            return Ran(fault=str(error))
        with process:
            try:
                out, said = process.communicate(timeout=max(0.1, self._deadline - time.monotonic()))
            except subprocess.TimeoutExpired as late:
                process.kill()
                return Ran(fault=f"py-spy was not done within {late.timeout:.0f} s")
        if process.returncode != 0:
            why = "the test was over" if self._stopped else f"exit code {process.returncode}"
            return Ran(fault=said.strip() or why)
        return Ran(out)

    def stop(self) -> None:
        """End the command under way; none is begun any more."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

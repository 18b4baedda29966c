"""Where a server's time goes during a load: a flame graph of its Python processes, by py-spy."""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from pytest_llmserve.domain.errors import MissingExtra
from pytest_llmserve.domain.stacks import PROFILE_RATE, Profile
from pytest_llmserve.serve.stacks import Ran, Spy, has_no_python, py_spy, reason

_WRITE_LIMIT_S = 20.0
_ROOM_S = 30.0
"""Beyond the length of a load: py-spy ends by itself then, should nobody be left to end it."""
_PROBE_LIMIT_S = 2.0
_NOTHING = "No stack counts found"
_SAMPLES = re.compile(r"Samples: (\d+) Errors: (\d+)")


class Recording:
    """A flame graph in the making, from `start` to `stop`.

    The processes are not stopped for a sample (`--nonblocking`), so a stack may now and then be missed.

    Args:
        pid: of the process; its children are recorded too.
        file: the SVG to write; its folder is made.
        limit_s: how long the load may take at most.
    """

    def __init__(self, pid: int, file: Path, limit_s: float) -> None:
        self._pid, self._file, self._limit_s = pid, file, limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._missing: str | None = None

    def start(self) -> None:
        """Begin; why that is not possible is told by `stop`."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.unlink(missing_ok=True)
            self._process = subprocess.Popen(
                self._command(py_spy()),
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                start_new_session=True,  # Ctrl-C is for who started it to heed
            )
        except MissingExtra as missing:
            self._missing = str(missing)
        except OSError as error:
            self._missing = f"{error.strerror} ({error.filename})"

    def stop(self, limit_s: float = _WRITE_LIMIT_S) -> Profile:
        """End recording, and have the graph written within that time, or not at all; called once."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(limit_s)
            except subprocess.TimeoutExpired:
                self._missing = f"py-spy did not write it within {limit_s:g} s"
            finally:
                if self._process.poll() is None:
                    self._process.kill()
                    self._process.wait()
                if self._missing is not None:  # half a graph is none
                    self._file.unlink(missing_ok=True)
        return self._profile()

    def _profile(self) -> Profile:
        with self._said:
            self._said.seek(0)
            said = self._said.read().decode("utf-8", "replace")
        if self._missing is None and _NOTHING in said:
            self._missing = "no thread of Python's ran at any sample: the server waited all the time"
            self._file.unlink(missing_ok=True)
        if self._missing is None and not self._file.exists():
            self._missing = not_recorded(self._pid, said, Spy(_PROBE_LIMIT_S).run)
        if self._missing is not None:
            return Profile(missing=self._missing)
        found = _SAMPLES.search(said)
        samples, unread = (None, None) if found is None else (int(found[1]), int(found[2]))
        return Profile(file=str(self._file), samples=samples, unread=unread)

    def _command(self, program: str) -> list[str]:
        limit = str(round(self._limit_s + _ROOM_S))
        return [
            *(program, "record", "--pid", str(self._pid), "--output", str(self._file)),
            *("--rate", str(PROFILE_RATE), "--subprocesses", "--nonblocking", "--duration", limit),
        ]


def not_recorded(pid: int, said: str, run: Callable[[list[str]], Ran]) -> str:
    """Why there is no graph of a process.

    Where py-spy found no Python, it may not have been allowed to look: a dump tells the two apart.

    Args:
        pid: of the process.
        said: all that `py-spy record` wrote; it says nothing while it still looks for Python.
        run: runs a command.
    """
    if said.strip() and not has_no_python(said):
        return f"process {pid}: {reason(said)}"
    fault = run([py_spy(), "dump", "--nonblocking", "--pid", str(pid)]).fault
    if fault is not None and (said.strip() or not has_no_python(fault)):
        return f"process {pid}: {reason(fault)}"
    return f"process {pid}: py-spy had found no Python in it when the load was over"

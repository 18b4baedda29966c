"""The process behind the endpoint, started by us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pytest_llmserve.domain.errors import LlmServeError, SetupError
from pytest_llmserve.serve import guard
from pytest_llmserve.serve.foreign import ForeignServer
from pytest_llmserve.serve.lease import Lease, is_locked, turn
from pytest_llmserve.serve.stacks import last_lines, stacks, tail

__all__ = ["ForeignServer", "ServerProcess", "start"]

_START_LIMIT_S = 10.0
STOP_LIMIT_S = 10.0
TURN_LIMIT_S = 60.0


# Kept, since a guard may outlive its ServerProcess object: other workers may use the server.
_guards: list[subprocess.Popen[bytes]] = []


class GuardState(msgspec.Struct, frozen=True):
    """What the guard wrote last.

    Attributes:
        mark: `guard.start_mark` of that pid.
        exit: exit code of the server, or minus the signal that ended it; None = has not ended.
        error: why the command could not be run.
        left: processes that not even SIGKILL ended.
    """

    pid: int | None
    mark: str | None
    guard_pid: int
    started: float
    command: list[str]
    stopping: bool = False
    exit: int | None = None
    error: str | None = None
    left: list[int] = []


def exit_text(code: int) -> str:
    """Say an exit code: "exited with code 1", "killed by SIGKILL"."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


class ServerProcess:
    """A server of ours, kept by a guard process that outlives us just long enough to end it.

    Made by `start` or `shared.shared_start`. In a `with` statement it is closed at the end.
    """

    def __init__(
        self,
        command: list[str],
        folder: Path,
        lease: Lease,
        env: Mapping[str, str] | None,
        cwd: Path | None = None,
    ) -> None:
        self.command = command
        self.log: Path = folder / "server.log"
        self._folder = folder
        self._state_path = folder / "state.json"
        self._lease = lease
        self._env, self._cwd = env, cwd
        self._guard: subprocess.Popen[bytes] | None = None

    def _state(self) -> GuardState:
        return msgspec.json.decode(self._state_path.read_bytes(), type=GuardState)

    @property
    def _guarded(self) -> bool:
        if self._guard is not None:
            self._guard.poll()
        return is_locked(self._folder / "state.json.lock")

    @property
    def pid(self) -> int:
        """The server's first process; after its end, the pid it had."""
        return self._state().pid or 0

    @property
    def alive(self) -> bool:
        """True while the server runs."""
        return self._state().exit is None and self._guarded

    @property
    def exit_status(self) -> str | None:
        """How the server ended, such as "exited with code 1"; None while it runs."""
        # The lock first: a guard writes the exit before it lets go.
        guarded = self._guarded
        code = self._state().exit
        if code is not None:
            return exit_text(code)
        return None if guarded else "killed together with its guard process"

    @property
    def told_to_stop(self) -> bool:
        """True once it was asked to end, by `stop`, with its last user or by a test: no death of its own."""
        state, expected = self._state(), self._folder / "expected"
        return state.stopping or (expected.exists() and expected.read_text("ascii") == str(state.guard_pid))

    def expect_end(self) -> None:
        """A test is about to kill it; all users of a shared server are told."""
        (self._folder / "expected").write_text(str(self.launch), "ascii")

    @property
    def death(self) -> str | None:
        """How the server ended and the last lines it wrote, for messages; None while it runs."""
        status = self.exit_status
        if status is None:
            return None
        return f"{status}{self.last_lines}"

    @property
    def last_lines(self) -> str:
        """The end of its log, to be put behind how it ended."""
        return last_lines(self.log) or "; its log is empty"

    @property
    def launch(self) -> int:
        """Another number each time the server is started by us."""
        return self._state().guard_pid

    def pids(self) -> list[int]:
        """The processes of the server that run."""
        return sorted(map(abs, self._living()))

    def log_tail(self, lines: int = 20) -> str:
        """The last lines the server wrote to stdout and stderr."""
        return tail(self.log, lines)

    def stacks(self) -> str:
        """Stacks of the server's Python processes.

        Raises:
            MissingExtra: py-spy is not installed.
        """
        return stacks(self.pids())

    def stop(self) -> None:
        """End the server's whole process tree, and wait until it is gone.

        Raises:
            LlmServeError: some processes did not end in time; they are named.
        """
        if self._guarded:
            os.kill(self._state().guard_pid, signal.SIGTERM)
        self._wait_until_gone()

    def restart(self) -> None:
        """Stop the server and start the same command again, on the same port.

        All users of a shared server see the new one.

        Raises:
            LlmServeError: the old one did not end in time.
        """
        with turn(self._folder / "turn", limit_s=TURN_LIMIT_S):
            self.stop()
            self._launch()

    def close(self) -> None:
        """Give the server up. The last user's close waits until it is gone."""
        if not self._lease.held:
            return
        try:
            if self._lease.sole():
                self.stop()
            elif not self._lease.share():  # the guard was quicker and is ending the server
                self._wait_until_gone()
        finally:
            self._lease.release()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ServerProcess(pid={self.pid}, {self.exit_status or 'running'}, command={self.command})"

    def _launch(self) -> None:
        """Start a guard, which starts the server, and wait for its word."""
        # -I and -S: no file of the user's folder or environment can get between guard and system.
        program = [sys.executable, "-I", "-S", guard.__file__]
        files = [self._folder / "lease", self.log, self._state_path]
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [*program, *map(str, files), "--", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if self._env is None else {**os.environ, **self._env},
                cwd=self._cwd,
                start_new_session=True,
            )
        _guards[:] = [self._guard, *(older for older in _guards if older.poll() is None)]
        deadline = time.monotonic() + _START_LIMIT_S
        while True:
            ended = self._guard.poll() is not None  # asked first: it writes before it ends
            if self._state_path.exists() and self._state().guard_pid == self._guard.pid:
                break
            if ended or time.monotonic() > deadline:
                raise LlmServeError(f"the server's guard process did not start: {self.log_tail()}")
            time.sleep(0.005)
        error = self._state().error
        if error is not None:
            self._guard.wait(STOP_LIMIT_S)
            raise SetupError(f"the server's command cannot be run: {error}")

    def _living(self) -> set[int]:
        state = self._state()
        if state.pid is None:
            return set()
        table = guard.process_table()
        if not table:
            return guard.living_group(state.pid)
        # The session too: when the guard itself was killed, its orphans have another parent.
        reused = guard.start_mark(state.pid) not in {None, state.mark}
        session = set() if reused else {p.pid for p in table if p.session == state.pid}
        return guard.descendants(state.guard_pid, table) | session

    def _wait_until_gone(self) -> None:
        deadline = time.monotonic() + STOP_LIMIT_S
        while self._guarded:
            if time.monotonic() > deadline:
                self._complain()
            time.sleep(0.01)
        if self._state().exit is None and self._state().error is None:
            self._end_orphans(deadline)
        if self._state().left:
            self._complain()

    def _end_orphans(self, deadline: float) -> None:
        while left := self._living():
            if time.monotonic() > deadline:
                self._complain()
            for pid in left:
                guard.kill_quietly(pid, signal.SIGKILL)
            time.sleep(0.02)

    def _complain(self) -> None:
        pids = ", ".join(map(str, sorted(map(abs, self._living())))) or "its guard"
        raise LlmServeError(
            f"the server did not end within {STOP_LIMIT_S:g} s of being told to: still there: {pids};"
            " end them with kill -9"
        )


def start(command: list[str], folder: Path, *, env: Mapping[str, str] | None = None) -> ServerProcess:
    """Start a server.

    Args:
        command: program and arguments; no shell is involved.
        folder: for its log and state; a new one for each server.
        env: added to this process's environment.

    Raises:
        SetupError: the command cannot be run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lease = Lease(folder / "lease")
    if not lease.share():
        raise LlmServeError(f"{folder} belongs to a server that is being stopped: give another folder")
    server = ServerProcess(command, folder, lease, env)
    launch_or_release(server, lease)
    return server


def launch_or_release(server: ServerProcess, lease: Lease) -> None:
    """Start it; the lease is given up where that fails. Raises SetupError: the command cannot be run."""
    try:
        server._launch()
    except BaseException:
        lease.release()
        raise

"""Runs a server, and ends its whole process tree when its last user is gone.

A program of its own, standard library only::

    python -m pytest_llmserve.serve.guard LEASE LOG STATE -- COMMAND...

Each user of the server holds a shared flock on LEASE. The guard waits for the exclusive one:
the system grants it when no user lives any more, however the users ended, kill -9 included.
SIGTERM to the guard ends the server at once. STATE is JSON, see `GuardState` in `process.py`.
STATE + ".lock" is locked as long as the guard lives.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

GRACE_S = 5.0
"""From SIGTERM to SIGKILL."""

GIVE_UP_S = 60.0
"""From SIGTERM until the guard leaves a process that not even SIGKILL ends."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_NO_MORE_USERS = 0
_ON_LINUX = sys.platform.startswith("linux")


class Process(NamedTuple):
    """One row of the system's process table; zombies are left out."""

    pid: int
    parent: int
    session: int


def process_table() -> list[Process]:
    """All running processes, from /proc; empty where there is none."""
    table = []
    for name in filter(str.isdigit, os.listdir("/proc")) if os.path.isdir("/proc") else ():
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            # The command's name stands in brackets and may itself hold brackets and spaces.
            state, parent, _group, session, *_ = file.read().rpartition(b")")[2].split()
            if state not in (b"Z", b"X"):
                table.append(Process(int(name), int(parent), int(session)))
    return table


def start_mark(pid: int) -> str | None:
    """Tells a process from a later one with the same pid; None when it does not run.

    Without /proc all running processes have the same mark.
    """
    if _ON_LINUX:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in (b"Z", b"X") else fields[19].decode()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it runs, for another user
        return "running"
    return "running"


def living_group(leader: int) -> set[int]:
    """The process group as one negative number, as `os.kill` takes it; empty when it is gone."""
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):  # macOS: EPERM when only zombies are left
        return set()
    return {-leader}


def kill_quietly(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended meanwhile."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def descendants(root: int, table: Iterable[Process]) -> set[int]:
    """Children, grandchildren and so on of `root`, without `root`."""
    children: dict[int, list[int]] = {}
    for process in table:
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    frontier = [root]
    while frontier:
        for pid in children.get(frontier.pop(), ()):
            if pid not in found:
                found.add(pid)
                frontier.append(pid)
    return found


def write_state(path: str, state: dict[str, object]) -> None:
    """Replace STATE in one step, so that a reader never sees half of it."""
    draft = f"{path}.new"
    with open(draft, "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.replace(draft, path)


def take_lock(path: str, *, limit_s: float) -> bool:
    """Lock a file until this process ends; tries for a while, as readers probe the lock in passing."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + limit_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                return False
            time.sleep(0.01)


def _prctl() -> Callable[[int, int], object] | None:
    return ctypes.CDLL(None).prctl if _ON_LINUX else None


class Guard:
    """One server and the watch over it."""

    def __init__(self, state_path: str, command: list[str]) -> None:
        self.state_path = state_path
        self.state: dict[str, object] = {
            "pid": None,
            "mark": None,
            "guard_pid": os.getpid(),
            "started": time.time(),
            "command": command,
            "stopping": False,
            "exit": None,
            "error": None,
        }
        self.pid = 0
        # Kept: a Popen that nobody holds takes its process's exit status along when it goes.
        self.server: subprocess.Popen[bytes] | None = None
        self.exit: int | None = None
        self.events, self._wake = os.pipe()

    def listen(self) -> None:
        """Turn signals into bytes on a pipe.

        They get a handler that does nothing: an ignored signal would stay ignored in the server.
        """
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)

    def launch(self, command: list[str]) -> None:
        """Start the server in a session of its own.

        Raises:
            OSError: the command cannot be run.
        """
        prctl = _prctl()
        if prctl is not None:  # what a dying server leaves behind becomes our child
            prctl(_PR_SET_CHILD_SUBREAPER, 1)
        last_will = (lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)) if prctl else None
        # No thread runs yet, so the function between fork and exec is safe.
        self.server = subprocess.Popen(command, start_new_session=True, preexec_fn=last_will)
        self.pid = self.server.pid
        self.save(pid=self.pid, mark=start_mark(self.pid))

    def watch_lease(self, lease_path: str) -> None:
        """Wake the guard when no user of the server is left."""
        lease = os.open(lease_path, os.O_RDWR | os.O_CREAT, 0o600)

        def wait() -> None:
            fcntl.flock(lease, fcntl.LOCK_EX)
            os.write(self._wake, bytes([_NO_MORE_USERS]))

        threading.Thread(target=wait, name="lease", daemon=True).start()

    def save(self, **changes: object) -> None:
        """Write STATE with these changes."""
        self.state.update(changes)
        write_state(self.state_path, self.state)

    def living(self) -> set[int]:
        """Processes of the server that run; a negative number is a whole process group."""
        if _ON_LINUX:
            return descendants(os.getpid(), process_table())
        return living_group(self.pid)

    def reap(self) -> None:
        """Take the exit status of every process that ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.pid:
                    self.exit = os.waitstatus_to_exitcode(status)

    def run(self) -> None:
        """Watch until the server has ended or must end; then leave nothing of it.

        A command that puts its server into the background and exits with 0 has not ended.
        """
        while True:
            woken_by = os.read(self.events, 512)
            self.reap()
            if _NO_MORE_USERS in woken_by or signal.SIGTERM in woken_by:
                self.save(stopping=True)
                break
            if self.exit is None:
                continue
            living = self.living()
            if self.exit != 0 or not living:
                self.save(exit=self.exit)
                break
            pid = abs(min(living))
            self.save(pid=pid, mark=start_mark(pid))
        left = self.stop_tree()
        self.save(exit=self.exit, left=sorted(left))

    def stop_tree(self) -> set[int]:
        """End every process, SIGTERM first; return those that cannot be ended."""
        begun = time.monotonic()
        asked: set[int] = set()
        while living := self.living():
            waited_s = time.monotonic() - begun
            if waited_s > GIVE_UP_S:
                return living
            # A second SIGTERM makes some servers drop their clean-up, so each gets one.
            number, pids = (
                (signal.SIGTERM, living - asked) if waited_s < GRACE_S else (signal.SIGKILL, living)
            )
            for pid in pids:
                kill_quietly(pid, number)
            asked |= living
            if select.select([self.events], [], [], 0.05)[0]:
                os.read(self.events, 512)
            self.reap()
        self.reap()
        return set()


def main(arguments: list[str]) -> int:
    """Run the guard; return its exit code."""
    if len(arguments) < 5 or arguments[3] != "--":
        sys.stderr.write("usage: guard LEASE LOG STATE -- COMMAND...\n")
        return 2
    lease_path, log_path, state_path, _, *command = arguments
    with contextlib.suppress(PermissionError):  # already leads a session
        os.setsid()
    if not take_lock(state_path + ".lock", limit_s=2):
        sys.stderr.write(f"another guard already writes {state_path}\n")
        return 3
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    guard = Guard(state_path, command)
    guard.listen()
    try:
        guard.launch(command)
    except OSError as error:
        guard.save(error=str(error))
        return 1
    guard.watch_lease(lease_path)
    guard.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

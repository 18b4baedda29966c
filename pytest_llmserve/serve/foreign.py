"""A process behind the endpoint that was there before us."""

from __future__ import annotations

from pathlib import Path

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.serve import guard
from pytest_llmserve.serve.stacks import last_lines, stacks, tail

_MOST_CHARS = 100


class ForeignServer:
    """A server that was there before us: watched, never stopped.

    Args:
        pid: its process.
        log: its log, when the user names one.
    """

    def __init__(self, pid: int, log: Path | None = None) -> None:
        self.pid = pid
        self.log = log
        self._started = guard.start_mark(pid)

    @property
    def alive(self) -> bool:
        """True while this very process runs; a later one with the same pid does not count."""
        return self._started is not None and guard.start_mark(self.pid) == self._started

    @property
    def exit_status(self) -> str | None:
        """That it is gone (how, only its parent knows); None while it runs."""
        return None if self.alive else f"pid {self.pid} is gone"

    @property
    def death(self) -> str | None:
        """The same as `exit_status`."""
        return self.exit_status

    @property
    def last_lines(self) -> str:
        """The end of its log, to be put behind how it ended; empty when no log is known."""
        return "" if self.log is None else last_lines(self.log)

    @property
    def told_to_stop(self) -> bool:
        """False: not by us."""
        return False

    @property
    def launch(self) -> int:
        """The same always: it is not started by us."""
        return 0

    def pids(self) -> list[int]:
        """The processes of the server that run."""
        if not self.alive:
            return []
        return [self.pid, *sorted(guard.descendants(self.pid, guard.process_table()))]

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log, or why it cannot be read; empty when no log is known."""
        if self.log is None:
            return ""
        return tail(self.log, lines)

    def stacks(self) -> str:
        """Stacks of its Python processes.

        Raises:
            MissingExtra: py-spy is not installed.
        """
        return stacks(self.pids())

    def stop(self) -> None:
        """Raise SetupError: it is not ours to stop."""
        raise SetupError(self.not_ours("stopped"))

    def restart(self) -> None:
        """Raise SetupError: it is not ours to restart."""
        raise SetupError(self.not_ours("restarted"))

    def close(self) -> None:
        """Do nothing: it stays."""

    def not_ours(self, done: str) -> str:
        """Why it is not stopped, restarted or killed, and what to do."""
        return (
            f"the server (pid {self.pid}) was not started by this test run, so it is not {done}:"
            " let --llm-serve 'CMD --port {port}' start it"
        )

    def __repr__(self) -> str:
        return f"ForeignServer(pid={self.pid}, {self.exit_status or 'running'})"


def command_line(pid: int) -> str:
    """What a process was started with, at most 100 characters; where that is not told, why."""
    import psutil

    try:
        text = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error as error:
        return f"its command is not told: {type(error).__name__}"
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}..."

"""Sessions of pytest in processes of their own, which end with their servers when they are told to."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

LIMIT_S = 300
END_LIMIT_S = 15


class Interrupted(Exception):
    """A session was ended, or not begun, as all are to end."""


class Sessions:
    """Those under way. Mutable; several threads may run one each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[subprocess.Popen[str]] = set()
        self._over = False

    def run(self, command: Sequence[str], folder: Path) -> tuple[int, str]:
        """(exit status, all that was printed).

        Raises:
            Interrupted: it was ended from without.
            subprocess.TimeoutExpired: it took longer than 300 s, and was ended.
        """
        with self._lock:
            if self._over:
                raise Interrupted
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,  # Ctrl-C would reach it, and be no concern of ours
            )
            self._under_way.add(process)
        try:
            text, _ = process.communicate(timeout=LIMIT_S)
        finally:
            _end([process])
            with self._lock:
                self._under_way.discard(process)
        if self._over:
            raise Interrupted
        return process.returncode, text

    def end(self) -> None:
        """End all, as Ctrl-C does, so that each ends its server; no further one begins."""
        with self._lock:
            self._over = True
            under_way = list(self._under_way)
        _end(under_way)


def _end(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        if process.poll() is None:
            _signal(process, signal.SIGINT)
    for process in processes:
        try:
            process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait(END_LIMIT_S)


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """To its group: load workers too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)

"""What a server is doing: the stacks of its Python processes, by py-spy, and the end of its log."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from pytest_llmserve.domain.errors import MissingExtra

_LIMIT_S = 15.0
_TAIL_BYTES = 65_536


def tail(log: Path, lines: int) -> str:
    """The last lines of a log, of at most 64 KiB."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(text.rstrip().split("\n")[-lines:])


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
    """The stacks of all threads of these processes; where they cannot be read, why.

    Raises:
        MissingExtra: py-spy is not installed.
    """
    program = py_spy()
    return "\n\n".join(_dump(program, pid) for pid in pids)


def _dump(program: str, pid: int) -> str:
    try:
        done = subprocess.run(
            [program, "dump", "--pid", str(pid)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"process {pid}: stacks not read: {error}"
    if done.returncode != 0:
        return f"process {pid}: stacks not read: {done.stderr.strip() or f'exit code {done.returncode}'}"
    return done.stdout.strip()

"""Real processes to watch: each answers one line for each line it is told."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

LIMIT_S = 20.0

OBEDIENT = """
import os, subprocess, sys, time
held, children = [], []
print("ready", flush=True)
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "take":
        held.append(bytearray(os.urandom(1)) * int(rest))
    elif word == "free":
        held.clear()
    elif word == "burn":
        end = time.process_time() + float(rest)
        while time.process_time() < end:
            pass
    elif word == "spawn":
        children.append(subprocess.Popen([sys.executable, "-c", rest], stdin=subprocess.PIPE))
    elif word == "reap":
        child = children.pop()
        child.stdin.close()
        child.wait(timeout=20)
    elif word == "wait":
        children.pop().wait(timeout=20)
    elif word == "exit":
        break
    print(children[-1].pid if children else 0, flush=True)
for child in children:
    child.stdin.close()
    child.wait(timeout=20)
"""


class Child:
    """A process that does as it is told."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OBEDIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid
        self._answer()

    def tell(self, line: str) -> int:
        """Have it done; returns the pid of its latest child, or 0."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return int(self._answer() or 0)

    def end(self) -> None:
        """Close its input, upon which it ends, and take its exit status."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.close()
            self.process.wait(timeout=LIMIT_S)
        finally:
            self.process.stdout.close()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def child() -> Iterator[Child]:
    """A process with nothing to do yet."""
    started = Child()
    yield started
    try:
        started.end()
    finally:
        if started.process.poll() is None:
            started.process.kill()
            started.process.wait(timeout=LIMIT_S)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for a condition, at most 20 s."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, "not so within 20 s"
            time.sleep(0.01)

    return wait

"""Memory lost in a worker process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import MOST_KB, Asked, Fault, within

CHILD = "import sys\nkept = []\nfor line in sys.stdin:\n    kept.append(b'x' * int(line))\n"
"""Ends with the server: nobody holds the other end of its input then."""


@dataclass
class LeakChild(Fault):
    """Each request leaves memory behind in a worker process, not in the one that listens.

    Attributes:
        kb: kilobytes kept there for ever at each request.
    """

    kb: int = within(100, 0, MOST_KB)

    def __post_init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def asked(self, asked: Asked) -> None:  # noqa: ARG002
        if self._child is None:
            command = [sys.executable, "-I", "-S", "-c", CHILD]
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        assert self._child.stdin is not None
        self._child.stdin.write(f"{self.kb * 1000}\n")
        self._child.stdin.flush()

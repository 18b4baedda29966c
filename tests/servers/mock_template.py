"""Starts mock servers at a tenth of the cost: what they need is imported once, and each is a fork of this.

stdin: a line of JSON for each, {"output": where its stdout and stderr go, "options": [...]}; stdout: its pid.
Servers are ended by who asked for them, and waited for here; those that are left end with its stdin.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import traceback
from typing import NoReturn

import mock_server


def run(order: dict[str, object]) -> NoReturn:
    """Be that server, in the forked process."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        opened = [os.open(os.devnull, os.O_RDONLY)]
        opened += [os.open(str(order["output"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)] * 2
        for number, file in enumerate(opened):
            os.dup2(file, number)
        # Writes to most pages, as its work would by and by: its own memory does not grow with that.
        gc.collect()
        sys.argv = ["mock_server.py", *order["options"]]  # type: ignore[misc]
        mock_server.main()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: set[int] = set()

    def bury(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                running.discard(pid)

    signal.signal(signal.SIGCHLD, bury)
    for line in sys.stdin:
        order = json.loads(line)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        if not (pid := os.fork()):
            run(order)
        running.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        print(pid, flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()

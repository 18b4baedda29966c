"""Starts mock servers at a tenth of the cost: what they need is imported once, and each is a fork of this.

stdin: a line of JSON for each, {"output": where its stdout and stderr go, "options": [...]}; stdout: its pid.
Servers are ended by who asked for them, and waited for here; those that are left end with its stdin.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from typing import NoReturn

import mock_server

LIBC = ctypes.CDLL(None, use_errno=True)
MADV_POPULATE_WRITE = 23  # Linux 5.14 and newer: as if each page were written to


def own_every_page() -> None:
    """Share no memory with the template: what is read of it is what it is of a server started alone."""
    owned = False
    with contextlib.suppress(OSError), open("/proc/self/maps") as maps:
        for place, access, *_ in map(str.split, maps.readlines()):
            if access == "rw-p":
                start, stop = (int(end, 16) for end in place.split("-"))
                size = ctypes.c_size_t(stop - start)
                owned = not LIBC.madvise(ctypes.c_void_p(start), size, MADV_POPULATE_WRITE) or owned
    if not owned:  # where the system cannot do it, this writes to most of them
        gc.collect()


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
        own_every_page()
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
    gc.collect()

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

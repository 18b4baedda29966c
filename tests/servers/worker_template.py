"""Starts load workers at a tenth of the cost: what they import is imported once, and each is a fork of this.

It is driven through the socket that is its stdin. An order is a line of JSON, {"code", "arguments",
"environment", "folder"}, as of ``python -c code arguments``, with four files: the worker's stdin, stdout and
stderr, and a pipe. The answer is its pid; the pipe tells, when the worker has ended, how.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

import pytest_llmserve.load.httpx_transport
import pytest_llmserve.load.worker  # noqa: F401
from pytest_llmserve.dialects import dialect

MOST_FILES = 1024


def run(order: dict[str, Any], files: list[int]) -> NoReturn:
    """Be that worker, in the forked process."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        os.closerange(3, MOST_FILES)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = ["-c", *order["arguments"]]
        exec(order["code"], {"__name__": "__main__"})
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        if isinstance(ending.code, str):
            print(ending.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def tell_who_ended(pipes: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pipe = pipes.pop(ended[0])
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(pipe, b"%d" % os.waitstatus_to_exitcode(ended[1]))
            os.close(pipe)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders = socket.socket(fileno=os.dup(0))
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    dialect("openai-chat")
    gc.collect()
    gc.freeze()
    pipes: dict[int, int] = {}
    while True:
        ready = select.select([orders, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 1024)
            tell_who_ended(pipes)
        if orders in ready:
            line, files, *_ = socket.recv_fds(orders, 1 << 20, 4)
            if not line:
                return
            while not line.endswith(b"\n"):
                line += orders.recv(1 << 20)
            if not (pid := os.fork()):
                run(json.loads(line), files)
            pipes[pid] = files[3]
            for file in files[:3]:
                os.close(file)
            orders.sendall(b"%d\n" % pid)


if __name__ == "__main__":
    main()

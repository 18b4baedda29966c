"""Waiting for sockets: epoll where there is one, poll elsewhere. Both give (fd, mask) pairs."""

from __future__ import annotations

import select
from collections.abc import Callable

IN = select.POLLIN
OUT = select.POLLOUT


class Poller:
    """The few calls a loop needs.

    `wait(timeout_s)` returns the ready (fd, mask) pairs; `forget(fd)` is due when a socket is closed.
    """

    def __init__(self) -> None:
        self._poll: select.epoll | select.poll
        self.wait: Callable[[float], list[tuple[int, int]]]
        if hasattr(select, "epoll"):
            self._poll = select.epoll()
            self.wait = self._poll.poll
            self.forget: Callable[[int], None] = lambda _: None  # closing is enough for epoll
        else:
            poll = self._poll = select.poll()
            self.wait = lambda timeout_s: poll.poll(timeout_s * 1000)
            self.forget = poll.unregister
        self.register = self._poll.register
        self.modify = self._poll.modify

    def close(self) -> None:
        """Give the kernel object back."""
        close = getattr(self._poll, "close", None)
        if close is not None:
            close()

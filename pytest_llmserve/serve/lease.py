"""File locks that say who is there: they fall with their process, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

from pytest_llmserve.domain.errors import LlmServeError

_leases: weakref.WeakSet[Lease] = weakref.WeakSet()


class Lease:
    """A user's hold on a server: a shared lock on a file, watched by the server's guard."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        _leases.add(self)

    @property
    def held(self) -> bool:
        """False after `release`."""
        return self._fd >= 0

    def share(self) -> bool:
        """Take the shared lock; False while the guard stops the server."""
        return self._try(fcntl.LOCK_SH)

    def sole(self) -> bool:
        """Take the exclusive lock: True when no one else uses the server. False loses the shared one."""
        return self._try(fcntl.LOCK_EX)

    def release(self) -> None:
        """Give up the hold; again is no harm."""
        if self.held:
            os.close(self._fd)
            self._fd = -1

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _release_in_child() -> None:
    # A forked child would keep the server alive after its parent. Closing its copy does not
    # unlock: the parent's descriptor is the same open file.
    for lease in list(_leases):
        lease.release()


os.register_at_fork(after_in_child=_release_in_child)


def is_locked(path: Path) -> bool:
    """True when some process holds an exclusive lock on an existing file."""
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


@contextlib.contextmanager
def turn(path: Path, *, limit_s: float) -> Iterator[None]:
    """Hold an exclusive lock on a file, created when absent.

    Raises:
        LlmServeError: another process held it for longer than `limit_s`.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + limit_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LlmServeError(
                        f"another process held {path} for over {limit_s:g} s: look for a stuck test worker"
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(fd)

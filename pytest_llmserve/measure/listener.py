"""Which process listens at a server's port, looked up as seldom as it may be."""

from __future__ import annotations

from pytest_llmserve.domain.target import Target
from pytest_llmserve.observe.port_owner import Owner, pid_listening_at, pid_listening_on
from pytest_llmserve.serve.guard import start_mark


def owner_of(target: Target) -> Owner:
    """The process behind a target, where that is on this machine."""
    if target.socket_path is not None:
        return pid_listening_at(target.socket_path)
    return pid_listening_on(target.host, target.port)


class Listener:
    """The process at one port. Mutable: it is looked up anew only once the last one known has ended.

    Args:
        target: where it listens.
        found: what was found there a moment ago; a look-up reads all sockets of the machine.
    """

    def __init__(self, target: Target, found: int | None = None) -> None:
        self._target = target
        self._mark: str | None = None if found is None else start_mark(found)
        self._asked = self._mark is not None
        self._pid: int | None = found if self._asked else None

    @property
    def ended(self) -> bool:
        """The process last known runs no more; a later one with its pid does not count."""
        return self._pid is not None and start_mark(self._pid) != self._mark

    def pid(self) -> int | None:
        """The process that listens now; None where nothing does, or where that is not known."""
        if not self._asked or self.ended:
            self._asked = True
            self._pid = owner_of(self._target).pid
            self._mark = None if self._pid is None else start_mark(self._pid)
        return self._pid

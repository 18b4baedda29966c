"""Where the requests of an open loop find a connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from pytest_llmserve.load.connection import User
from pytest_llmserve.load.pacing import connections_to_open


class Places:
    """Places for one request each, with its connection. Mutable.

    The most recently used free one is taken first, so that surplus connections grow old and the server may
    close them.

    Args:
        most: requests under way at once.
        servers: a connection leads to one of so many.

    Attributes:
        busy: places taken now.
    """

    def __init__(self, most: int, servers: int = 1) -> None:
        self._most = most
        # With a connection, by server; the left end is the longest unused.
        self._spare: tuple[deque[User], ...] = tuple(deque() for _ in range(servers))
        self._coming = [0] * servers
        self._bare: list[User] = []
        self._made = self.busy = 0

    def expect(self, server: int) -> None:
        """A request for this server is due soon; it is until `take` or `forget`."""
        self._coming[server] += 1

    def forget(self) -> None:
        """None is due any more."""
        self._coming = [0] * len(self._coming)

    def to_open(self, tries: int) -> Iterator[User]:
        """The places to open a connection for ahead of need, so many at the most."""
        for server, spare in enumerate(self._spare):
            while spare and spare[0].connection is None:  # closed by the server, or never opened
                self._bare.append(spare.popleft())
            elsewhere = sum(map(len, self._spare)) - len(spare)
            wanted = connections_to_open(self._coming[server], len(spare), self.busy + elsewhere, self._most)
            for _ in range(min(wanted, tries)):
                user = self._bare_one(server)
                spare.appendleft(user)
                yield user
            tries -= min(wanted, tries)

    def take(self, server: int) -> User | None:
        """A place for a request that is sent now; None when all are taken."""
        self._coming[server] -= 1
        user = self._free(server)
        if user is not None:
            self.busy += 1
        return user

    def drop(self, server: int) -> None:
        """A request that was due is not sent."""
        self._coming[server] -= 1

    def free(self, user: User) -> None:
        """The request of this place is over."""
        self.busy -= 1
        if user.connection is None:
            self._bare.append(user)
        else:
            self._spare[user.server].append(user)

    def _free(self, server: int) -> User | None:
        spare = self._spare[server]
        while spare:
            user = spare.pop()
            if user.connection is not None:
                return user
            self._bare.append(user)
        return None if self.busy >= self._most else self._bare_one(server)

    def _bare_one(self, server: int) -> User:
        if not self._bare:
            self._made += 1
            return User(self._made, server)
        user = self._bare.pop()
        user.server = server
        return user

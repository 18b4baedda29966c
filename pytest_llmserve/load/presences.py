"""Whether any of several servers is still there. Pure."""

from __future__ import annotations

from collections.abc import Callable

from pytest_llmserve.domain.exchange import Ending
from pytest_llmserve.load.gone import Presence


class Presences:
    """Follows the requests to each server: a load is given up when all of them are gone. Mutable.

    Args:
        servers: how many.
        begin_ns, timeout_ns, alone: as of `Presence`.

    Attributes:
        one: of the only server, where there is one; to be asked in place of all.
    """

    def __init__(self, servers: int, begin_ns: int, timeout_ns: int, *, alone: bool = True) -> None:
        self._each = [Presence(begin_ns, timeout_ns, alone=alone) for _ in range(servers)]
        self._given_up = [False] * servers
        self.one = self._each[0] if servers == 1 else None

    @property
    def gone(self) -> str | None:
        """Since when and why the last of them is gone, where all are; else None."""
        last = max(self._each, key=lambda presence: presence.since_ns)
        return last.gone if all(presence.gone is not None for presence in self._each) else None

    @property
    def since_ns(self) -> int:
        """The instant since which it is; 0 = not all are."""
        return 0 if self.gone is None else max(presence.since_ns for presence in self._each)

    def ended(
        self,
        server: int,
        ending: Ending,
        sent_ns: int | None,
        end_ns: int,
        heard_ns: int,
        under_way: Callable[[], int],
    ) -> bool:
        """Take the end of a request to a server, as `Presence.ended`; `heard_ns` is of any of them."""
        over = self._each[server].ended(ending, sent_ns, end_ns, heard_ns, under_way)
        self._given_up[server] = over
        return over and all(self._given_up)

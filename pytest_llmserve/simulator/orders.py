"""What was ordered and not fetched yet, of APIs with two exchanges an answer."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from pytest_llmserve.simulator.wire import Request

MOST = 10_000
"""So many are kept; the oldest is forgotten then."""


class Orders:
    """Mutable: the bodies by path and number. Each is fetched once."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Request] = OrderedDict()
        self._count = 0

    def take(self, order: Request) -> str:
        """Keep an order; return the number with which it is fetched, below its own path."""
        self._count += 1
        number = f"{self._count:032x}"
        self._open[f"{order.path}/{number}"] = order
        if len(self._open) > MOST:
            self._open.popitem(last=False)
        return number

    def fetched(self, fetch: Request) -> Request | None:
        """The order that a request fetches, as if it had been sent over the connection of this one."""
        order = self._open.pop(fetch.path, None)
        if order is None:
            return None
        return replace(fetch, body=order.body, headers={**order.headers, **fetch.headers})

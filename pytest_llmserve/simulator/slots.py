"""Who is answered now and who waits: a queue of slots, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """So many requests at a time; 0 = any number. Lives as long as the server.

    Attributes:
        running: slots that are taken, the lost ones too.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.running = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    async def take(self) -> None:
        """Wait for a slot. Cancelled, it takes none."""
        if self._free():
            self.running += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place in self._queue:
                self._queue.remove(place)
            elif not place.cancelled():  # it was given in the very moment in which it was given up
                self.give()
            raise

    def give(self) -> None:
        """Give a slot back: to the first in the queue."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.running -= 1

    def lose(self) -> None:
        """A place in the queue that is taken, when its turn comes, and never given back."""
        if self._free():
            self.running += 1
        else:
            self._queue.append(asyncio.get_running_loop().create_future())

    def _free(self) -> bool:
        return not self.count or self.running < self.count

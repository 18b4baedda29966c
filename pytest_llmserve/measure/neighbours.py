"""A light load beside hostile inputs: one client that asks short questions, a few a second."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from pytest_llmserve.domain.errors import LlmServeError
from pytest_llmserve.domain.survival import Neighbour
from pytest_llmserve.domain.target import Target
from pytest_llmserve.measure.recovery import PROBE
from pytest_llmserve.serve.endpoint import Endpoint

_GAP_S = 0.25
_IDLE_S = 5.0
_END_LIMIT_S = 5.0
_LOOK_S = 0.05
_BEGIN_LIMIT_S = 1.0
_KEPT = 1000


class Neighbours:
    """Asks from a thread of its own, over connections of its own. Mutable.

    The thread begins with the first `call`, and ends with `stop`, or after five seconds without a `call`.
    Between `rest` and the next `call` nothing is asked.

    Args:
        target: the server.
        params: fields of the request that it takes.
        limit_s: how long a question may take.
    """

    def __init__(self, target: Target, params: dict[str, Any], limit_s: float) -> None:
        self._endpoint = Endpoint(target)
        self._params = params
        self.limit_s = limit_s
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = self._called = self._resting = False
        self._called_at = 0.0
        self._under_way: Neighbour | None = None
        self._ended: deque[Neighbour] = deque(maxlen=_KEPT)
        self._number = 0
        self.lost: str | None = None

    def call(self, limit_s: float) -> None:
        """See to it that a question is under way now, which may take so long."""
        with self._changed:
            self.limit_s = limit_s
            self._resting = False
            self._called_at = time.monotonic()
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="llmserve-neighbours", daemon=True)
                self._thread.start()
            self._called = self._under_way is None
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._called or self.lost is not None, _BEGIN_LIMIT_S)

    def rest(self) -> None:
        """Ask nothing until the next `call`; waits for the end of what is under way."""
        with self._changed:
            self._resting = True
            self._changed.wait_for(lambda: self._under_way is None or self._stopping, self.limit_s)

    def over(self, until_ns: int) -> tuple[Neighbour, ...]:
        """All that are over, once those begun before `until_ns` are; one that takes too long is added."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over(until_ns), self.limit_s)
            late = [] if self._under_way is None or self._is_over(until_ns) else [self._under_way]
            return (*self._ended, *late)

    def _is_over(self, until_ns: int) -> bool:
        return self._under_way is None or self._under_way.begun_ns > until_ns or self._stopping

    def stop(self) -> None:
        """Ask no more; what is under way is cut off."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        self._endpoint.close()
        deadline = time.monotonic() + _END_LIMIT_S
        while thread is not None and thread.is_alive() and time.monotonic() < deadline:
            thread.join(_LOOK_S)
            self._endpoint.close()  # a question that had just begun has opened it again

    def _run(self) -> None:
        try:
            while self._begin():
                self._ask()
        except LlmServeError as error:  # our own fault: told where the case is judged
            self.lost = str(error)
        finally:
            with self._changed:
                self._leave()

    def _leave(self) -> None:
        """This thread asks no more; told in the lock of that decision, or a `call` would wait in vain."""
        if self._thread is threading.current_thread():  # else the next one has begun already
            self._thread, self._called = None, False
            self._changed.notify_all()

    def _begin(self) -> bool:
        """Wait for the time of the next question; False when there is to be none."""
        with self._changed:
            self._changed.wait_for(self._is_due, _GAP_S)
            while self._resting and not self._is_due() and not self._is_idle():
                self._changed.wait_for(self._is_due, _GAP_S)
            if self._stopping or self._is_idle():
                self._leave()
                return False
            self._number += 1
            self._under_way = Neighbour(id=self._number, begun_ns=time.monotonic_ns())
            self._called = False
            self._changed.notify_all()
            return True

    def _is_due(self) -> bool:
        return self._stopping or self._called

    def _is_idle(self) -> bool:
        return not self._called and time.monotonic() - self._called_at > _IDLE_S

    def _ask(self) -> None:
        begun = self._under_way
        assert begun is not None
        reply = None
        try:
            reply = self._endpoint.generate(PROBE, timeout=self.limit_s, **self._params)
        finally:
            with self._changed:
                self._under_way = None
                if reply is not None and not self._stopping:
                    self._ended.append(
                        Neighbour(
                            id=begun.id,
                            begun_ns=begun.begun_ns,
                            end_ns=time.monotonic_ns(),
                            outcome=str(reply.outcome),
                            status=reply.status,
                            error=reply.error,
                        )
                    )
                self._changed.notify_all()


def overlapping(neighbours: tuple[Neighbour, ...], begun_ns: int, end_ns: int) -> tuple[Neighbour, ...]:
    """Those that were under way between the two instants."""
    return tuple(n for n in neighbours if n.begun_ns <= end_ns and (n.end_ns is None or n.end_ns >= begun_ns))


def ended_before(neighbours: tuple[Neighbour, ...], begun_ns: int) -> tuple[Neighbour, ...]:
    """Those that were over by then."""
    return tuple(n for n in neighbours if n.end_ns is not None and n.end_ns < begun_ns)


def why_failed(neighbour: Neighbour | None, limit_s: float) -> str:
    """What came of a question that was not answered as it should, in words; None = it was never asked."""
    if neighbour is None:
        return "it was never asked"
    if neighbour.outcome is None:
        return f"no answer within {limit_s:g} s"
    status = "" if neighbour.status is None else f", status {neighbour.status}"
    return neighbour.error or f"{neighbour.outcome}{status}"

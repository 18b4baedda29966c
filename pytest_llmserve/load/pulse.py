"""What has ended since a worker last spoke, gathered as it is recorded."""

from __future__ import annotations

import math
import threading
from array import array

from pytest_llmserve.domain.outcome import DROPPED
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.load.job import Beat


class Pulse:
    """Two threads meet here: the loop adds, the reporting thread takes.

    The lock is held for some appends at the most. The thread that takes does no work for each
    request: it would keep the interpreter from the loop.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._by_outcome: dict[str, int] = {}
        self._tokens = self._warm_up = self._warm_up_ok = self._warm_up_tokens = 0
        self._e2e_ms, self._ttft_ms = array("f"), array("f")

    def add(self, record: RequestRecord) -> None:
        """A request is over."""
        ok = record.ok
        tokens = (record.output_tokens or 0) if ok else 0
        e2e_ms, ttft_ms = (record.e2e_ms, record.ttft_ms) if ok else (math.inf, math.inf)
        if record.outcome == DROPPED:  # no latency of the server's
            e2e_ms = ttft_ms = None
        with self._lock:
            if record.warm_up:
                self._warm_up += 1
                self._warm_up_ok += ok
                self._warm_up_tokens += tokens
                return
            self._by_outcome[record.outcome] = self._by_outcome.get(record.outcome, 0) + 1
            self._tokens += tokens
            if e2e_ms is not None:
                self._e2e_ms.append(e2e_ms)
            if ttft_ms is not None:
                self._ttft_ms.append(ttft_ms)

    def take(self, sent: int, active: int) -> Beat:
        """What was added since the last take; the caller knows what is under way."""
        with self._lock:
            by_outcome, tokens, warm_up = self._by_outcome, self._tokens, self._warm_up
            warm_up_ok, warm_up_tokens = self._warm_up_ok, self._warm_up_tokens
            e2e_ms, ttft_ms = self._e2e_ms, self._ttft_ms
            self._start()
        return Beat(
            sent=sent,
            active=active,
            by_outcome=by_outcome,
            tokens=tokens,
            warm_up=warm_up,
            warm_up_ok=warm_up_ok,
            warm_up_tokens=warm_up_tokens,
            e2e_ms=e2e_ms.tobytes(),
            ttft_ms=ttft_ms.tobytes(),
        )

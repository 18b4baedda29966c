"""Whether the server is still there: decided from how requests end. Pure: time comes in as stamps."""

from __future__ import annotations

from collections.abc import Callable

from pytest_llmserve.domain.exchange import TIME_LIMIT, Ending
from pytest_llmserve.domain.units import NS_PER_S, duration_text
from pytest_llmserve.load.flight import NO_CONNECTION

REFUSED_NS = 5 * NS_PER_S
LEAST_SILENCE_NS = 10 * NS_PER_S
"""A shorter one may be a run of slow answers under a short time limit."""
TWO = 2
"""Requests that must have gone unanswered: one may have been lost by itself."""


class Presence:
    """Follows a load's requests as they end, in their order. Mutable; one a worker.

    Args:
        begin_ns: the load's first instant, monotonic.
        timeout_ns: the longest a request may take.

    Attributes:
        gone: since when and why the server is gone, or None: "from 4 h on, no connection for 5 s
            (Connection refused)".
    """

    def __init__(self, begin_ns: int, timeout_ns: int) -> None:
        self._begin_ns = begin_ns
        self._silence_ns = max(timeout_ns, LEAST_SILENCE_NS)
        self._refused_since_ns: int | None = None
        self._unanswered = self._heard_ns = 0
        self.gone: str | None = None

    def ended(self, ending: Ending, end_ns: int, heard_ns: int, under_way: Callable[[], int]) -> bool:
        """Take the end of a request; True when the load is to be given up now.

        Args:
            ending: how.
            end_ns: when.
            heard_ns: when the server last sent anything; 0 = never.
            under_way: counts the requests that are with it now.
        """
        self._silent(ending, end_ns, heard_ns)
        return self._refused(ending, end_ns, heard_ns, under_way) or (
            self.gone is not None and end_ns - heard_ns >= 2 * self._silence_ns
        )

    def _refused(self, ending: Ending, end_ns: int, heard_ns: int, under_way: Callable[[], int]) -> bool:
        if ending.how != NO_CONNECTION:
            self._refused_since_ns = None
            return False
        since_ns = self._refused_since_ns
        if since_ns is None or heard_ns > since_ns:
            self._refused_since_ns = end_ns
            return False
        if end_ns - since_ns <= REFUSED_NS or under_way():
            return False
        self.gone = f"{self._from(since_ns)}, no connection for {duration_text(REFUSED_NS)} ({ending.detail})"
        return True

    def _silent(self, ending: Ending, end_ns: int, heard_ns: int) -> None:
        """It takes requests and says nothing any more; one that never said anything has failed them all."""
        if ending.how != TIME_LIMIT or heard_ns != self._heard_ns:
            self._unanswered, self._heard_ns = 0, heard_ns
        self._unanswered += ending.how == TIME_LIMIT
        silence_ns, self.gone = end_ns - heard_ns, None
        if heard_ns and silence_ns >= self._silence_ns and self._unanswered >= TWO:
            said = f"not a byte for {duration_text(round(silence_ns, -9))}"
            self.gone = f"{self._from(heard_ns)}, {said}, {self._unanswered} requests ran out of time"

    def _from(self, since_ns: int) -> str:
        return f"from {duration_text(max(0, since_ns - self._begin_ns))} on"

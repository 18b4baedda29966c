"""Whether the server is still there: decided from how requests end. Pure: time comes in as stamps."""

from __future__ import annotations

from collections.abc import Callable

from pytest_llmserve.domain.exchange import TIME_LIMIT, Ending
from pytest_llmserve.domain.liveness import SILENT
from pytest_llmserve.domain.units import NS_PER_S, duration_text
from pytest_llmserve.load.flight import NO_CONNECTION

REFUSED_NS = 5 * NS_PER_S
LEAST_SILENCE_NS = 10 * NS_PER_S
"""A shorter one may be a run of slow answers under a short time limit."""
TWO = 2
"""Requests that must have gone unanswered: one may have been lost by itself."""


class Presence:
    """Follows one worker's requests as they end, in their order. Mutable.

    Args:
        begin_ns: the load's first instant, monotonic.
        timeout_ns: the longest a request may take.
        alone: there is no other worker, which might be answered.

    Attributes:
        gone: since when and why the server is gone, or None: "from 4 h on, no connection for 5 s
            (Connection refused)".
        since_ns: the instant since which it is; 0 = it is not.
    """

    def __init__(self, begin_ns: int, timeout_ns: int, *, alone: bool = True) -> None:
        self._begin_ns, self._alone = begin_ns, alone
        self._silence_ns = max(timeout_ns, LEAST_SILENCE_NS)
        self._refused_since_ns: int | None = None
        self._unanswered = self._heard_ns = 0
        self._waited_ns = self._waited_until_ns = 0
        self.gone: str | None = None
        self.since_ns = 0

    def ended(
        self, ending: Ending, sent_ns: int | None, end_ns: int, heard_ns: int, under_way: Callable[[], int]
    ) -> bool:
        """Take the end of a request; True when the load is to be given up now.

        Args:
            ending: how.
            sent_ns: when it was sent; None = it was not.
            end_ns: when it ended.
            heard_ns: when the server last sent anything; 0 = never.
            under_way: counts the requests that are with it now.
        """
        self.gone, self.since_ns = None, 0
        self._silent(ending, sent_ns, end_ns, heard_ns)
        if self._refused(ending, end_ns, heard_ns, under_way):
            return True
        return self.gone is not None and self._alone and self._waited_ns >= 2 * self._silence_ns

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
        self._is_gone(since_ns, f"no connection for {duration_text(REFUSED_NS)} ({ending.detail})")
        return True

    def _silent(self, ending: Ending, sent_ns: int | None, end_ns: int, heard_ns: int) -> None:
        """It takes requests and says nothing any more; one that never said anything has failed them all."""
        if ending.how != TIME_LIMIT or heard_ns != self._heard_ns:
            self._unanswered, self._heard_ns = 0, heard_ns
            self._waited_ns, self._waited_until_ns = 0, heard_ns
        if ending.how != TIME_LIMIT or sent_ns is None:
            return
        self._unanswered += 1
        # Only time in which something was asked: a server that nobody asks is silent too.
        self._waited_ns += max(0, end_ns - max(sent_ns, self._waited_until_ns))
        self._waited_until_ns = max(end_ns, self._waited_until_ns)
        if heard_ns and self._waited_ns >= self._silence_ns and self._unanswered >= TWO:
            waited = duration_text(round(self._waited_ns, -9))
            self._is_gone(
                heard_ns, f"{SILENT} in {waited} of waiting, {self._unanswered} requests ran out of time"
            )

    def _is_gone(self, since_ns: int, why: str) -> None:
        self.since_ns = since_ns
        self.gone = f"from {duration_text(max(0, since_ns - self._begin_ns))} on, {why}"


def gone_for_all(workers: list[tuple[str | None, int]], answered_ns: int) -> tuple[str | None, int | None]:
    """Why and since when, as the first worker says for which it is gone, unless another was answered since.

    Args:
        workers: `Presence.gone` and `Presence.since_ns` of each.
        answered_ns: when an answer last began to come, at whichever worker.
    """
    told = (each for each in workers if each[0] is not None and answered_ns <= each[1])
    return next(told, (None, None))

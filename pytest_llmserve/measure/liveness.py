"""Whether it was the same server from the beginning of a test to its end, and whether it still answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from msgspec import structs

from pytest_llmserve.domain.liveness import Fate, Seen, fate_of, fate_of_all, named
from pytest_llmserve.domain.outcome import HTTP_4XX
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.measure.asking import Now, asked_now, patience_s, silence_ns
from pytest_llmserve.measure.followed import Followed, followed_beside
from pytest_llmserve.measure.opening import OpenServer


class Liveness:
    """Follows a server through one test, and the replicas whose processes are known. Mutable.

    Args:
        opened: the server; None = the test asked for none.
    """

    def __init__(self, opened: OpenServer | None) -> None:
        self._opened = opened
        self._asked = False
        self._first: Followed | None = None
        self._beside = () if opened is None else followed_beside(opened)
        self._fates: dict[Followed, Fate] = {}
        self.fate: Fate | None = None
        self.renew()

    def renew(self, opened: OpenServer | None = None) -> None:
        """From now on it is this server that has to stay, beside its replicas; None = the one known."""
        opened = self._opened = opened or self._opened
        self._asked = False
        if opened is not None:
            self._first = Followed(opened.server, opened.listener, opened.name)
        self._since_ns = time.monotonic_ns()
        self._failed_before = 0 if opened is None else opened.endpoint.heard.failed

    @property
    def followed(self) -> tuple[Followed, ...]:
        """The first server, and those beside it whose processes are known."""
        return self._beside if self._first is None else (self._first, *self._beside)

    def begin_load(self) -> None:
        """A load begins: the worker processes that are there have to live to the end of the test."""
        for each in self.followed:
            each.begin_load()

    def main_pid(self) -> tuple[int | None, str]:
        """The process that listens, else the first one; and why neither is known."""
        pid = None if self._first is None else self._first.main_pid
        if pid is None:
            why = "no fixture asked for the server" if self._opened is None else self._opened.why
            return None, f"the server's process is not known: {why}"
        return pid, ""

    def workers_ended(self) -> tuple[int, int]:
        """How many of the first's worker processes have ended, and in place of how many another one came."""
        return (0, 0) if self._first is None else self._first.workers_ended()

    def expect_end(self) -> None:
        """The test itself is about to end the server: until `renew` nothing is wrong with that."""
        self._asked = True

    def end(
        self, runs: Sequence[LoadResult], window: ResourceWindow, log: Mapping[str, int] | None = None
    ) -> Fate | None:
        """What became of the servers; asks the first only where its last requests went unanswered.

        Args:
            runs: of the test.
            window: the server's samples through the test.
            log: what its log told, `LogWindow.counts`.
        """
        opened, first = self._opened, self._first
        if opened is None or first is None:
            return None
        lost = self._lost(runs)  # before it is asked once more
        seen = {} if first.was_dead else {first: self._seen_of(first, opened, runs, window)}
        seen |= {each: each.seen() for each in self._beside if not each.was_dead}
        found = {each: fate_of(each.with_workers(what, lost, log or {})) for each, what in seen.items()}
        self._fates = {each: fate for each, fate in found.items() if fate is not None}
        self.fate = fate_of_all([(each.name, fate) for each, fate in self._fates.items()])
        return self.fate

    def _seen_of(
        self, first: Followed, opened: OpenServer, runs: Sequence[LoadResult], window: ResourceWindow
    ) -> Seen:
        """The first server, with what it does when it is asked once more."""
        seen = first.seen()
        asked = self._asked or seen.asked
        silent_ns, now = silence_ns(runs, opened.endpoint.heard, self._since_ns), Now()
        if seen.exit is None and not seen.ended and not asked and silent_ns is not None:
            now = asked_now(opened.endpoint, patience_s(runs, opened.endpoint.heard.slowest_s))
        return structs.replace(
            seen,
            asked=asked,
            oom_kills=window.rise("oom_kills"),
            refuses=now.refuses,
            silent_ns=silent_ns,
            answers_get=now.answers_get,
            answers=now.answers,
            within_s=now.within_s,
        )

    def _lost(self, runs: Sequence[LoadResult]) -> tuple[int, int]:
        """(requests that failed, requests that had to be sent again)."""
        heard = 0 if self._opened is None else self._opened.endpoint.heard.failed - self._failed_before
        failed = sum(r.outcome != HTTP_4XX for run in runs for r in run.failed)
        return heard + failed, sum(run.generator.resent for run in runs)

    def last_words(self) -> str | None:
        """What became of the servers, with the ends of the logs of those that ended, or had ended before."""
        told = []
        for each in self.followed:
            fate = self._fates.get(each)
            said = each.last_words(fate)
            if said is None and fate is not None and self.fate is not None and fate.fatal == self.fate.fatal:
                said = named(each.name, fate.sentence)
            told += [] if said is None else [said]
        if not told or self._opened is None:
            return None
        return self._opened.endpoint.cleaned("\n".join(told))

"""Whether it was the same server from the beginning of a test to its end, and whether it still answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from msgspec import structs

from pytest_llmserve.domain.liveness import Fate, Seen, fate_of
from pytest_llmserve.domain.outcome import HTTP_4XX
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.measure.asking import Now, asked_now, patience_s, silence_ns
from pytest_llmserve.measure.opening import OpenServer
from pytest_llmserve.measure.workers import Workers, workers_among
from pytest_llmserve.observe.log_patterns import CRASHES, RECYCLED, WORKER_DIED

_LOG_LINES = 400
"""As far back as the log is searched for workers that end on purpose."""


class Liveness:
    """Follows a server through one test. Mutable.

    Args:
        opened: the server; None = the test asked for none.
    """

    def __init__(self, opened: OpenServer | None) -> None:
        self._opened = opened
        self._asked = False
        self.fate: Fate | None = None
        self.renew()

    def renew(self, opened: OpenServer | None = None) -> None:
        """From now on it is this server that has to stay; None = the one known."""
        opened = self._opened = opened or self._opened
        self._asked = False
        self._server = server = opened.server if opened is not None else None
        self._was_dead = server is not None and server.exit_status is not None
        self._launch = None if server is None else server.launch
        self._listened = None if server is None or opened is None else opened.listener.pid()
        self._since_ns = time.monotonic_ns()
        self._failed_before = 0 if opened is None else opened.endpoint.heard.failed
        self._workers = None if server is None or self._was_dead else self._found_workers()

    def begin_load(self) -> None:
        """A load begins: the worker processes that are there have to live to the end of the test."""
        if self._workers is not None:
            self._workers.begin_load()

    def main_pid(self) -> tuple[int | None, str]:
        """The process that listens, else the first one; and why neither is known."""
        if self._server is None:
            why = "no fixture asked for the server" if self._opened is None else self._opened.why
            return None, f"the server's process is not known: {why}"
        return self._listened or self._server.pid, ""

    def workers_ended(self) -> tuple[int, int]:
        """How many of the worker processes have ended so far, and in place of how many another one came."""
        return (0, 0) if self._workers is None else self._workers.ended()

    def expect_end(self) -> None:
        """The test itself is about to end the server: until `renew` nothing is wrong with that."""
        self._asked = True

    def end(
        self, runs: Sequence[LoadResult], window: ResourceWindow, log: Mapping[str, int] | None = None
    ) -> Fate | None:
        """What became of the server; asks it only where its last requests went unanswered.

        Args:
            runs: of the test.
            window: the server's samples through the test.
            log: what its log told, `LogWindow.counts`.
        """
        opened = self._opened
        if opened is None or self._was_dead:
            return None
        server, ended = self._server, self._listened is not None and opened.listener.ended
        exit_status = None if server is None else server.exit_status
        known = server is not None
        asked = self._asked
        asked = asked or (server is not None and (server.told_to_stop or server.launch != self._launch))
        silent_ns, now = silence_ns(runs, opened.endpoint.heard, self._since_ns), Now()
        lost = self._lost(runs)  # before it is asked once more
        if exit_status is None and not ended and not asked and silent_ns is not None:
            now = asked_now(opened.endpoint, patience_s(runs, opened.endpoint.heard.slowest_s))
        seen = Seen(
            exit=exit_status,
            asked=asked,
            listened=self._listened,
            listens=opened.listener.pid() if ended else self._listened,
            ended=ended,
            oom_kills=window.rise("oom_kills"),
            log=server.log_tail() if server is not None and (ended or exit_status is not None) else "",
            lives=known,
            refuses=now.refuses,
            silent_ns=silent_ns,
            answers_get=now.answers_get,
            answers=now.answers,
            within_s=now.within_s,
        )
        self.fate = fate_of(self._with_workers(seen, lost, log or {}))
        return self.fate

    def _found_workers(self) -> Workers | None:
        server, main = self._server, self.main_pid()[0]
        if server is None or main is None:
            return None
        return Workers(lambda: workers_among(server.pids(), main))

    def _lost(self, runs: Sequence[LoadResult]) -> tuple[int, int]:
        """(requests that failed, requests that had to be sent again)."""
        heard = 0 if self._opened is None else self._opened.endpoint.heard.failed - self._failed_before
        failed = sum(r.outcome != HTTP_4XX for run in runs for r in run.failed)
        return heard + failed, sum(run.generator.resent for run in runs)

    def _with_workers(self, seen: Seen, lost: tuple[int, int], log: Mapping[str, int]) -> Seen:
        """What became of the worker processes, and what may have been lost with them."""
        server = self._server
        ended, replaced = (0, 0) if seen.asked else self.workers_ended()
        if not ended or server is None:
            return seen
        recycled = RECYCLED.search(server.log_tail(_LOG_LINES)) is not None
        crashes = {kind for kind in CRASHES if not (recycled and kind == WORKER_DIED)}
        return structs.replace(
            seen,
            workers_ended=ended,
            workers_replaced=replaced,
            requests_failed=lost[0],
            requests_resent=lost[1],
            crashes=sum(log.get(kind, 0) for kind in crashes),
            recycled=recycled,
        )

    def last_words(self) -> str | None:
        """What became of the server, with the end of its log where it ended, or had ended before."""
        server, fate = self._server, self.fate
        if server is None or server.exit_status is None:
            return None if fate is None else fate.sentence
        when = "had ended before this test" if self._was_dead else "ended during the test"
        said = f"the server's process {when}: {server.exit_status}"
        sentence = fate.sentence if fate is not None else said
        return f"{sentence}{server.last_lines}"

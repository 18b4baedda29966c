"""A server's process, followed through one test: whether it is the same from the beginning to the end."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from pytest_llmserve.domain.liveness import Fate, Seen, named
from pytest_llmserve.measure.listener import Listener
from pytest_llmserve.measure.opening import OpenServer
from pytest_llmserve.measure.workers import Workers, workers_among
from pytest_llmserve.observe.log_patterns import CRASHES, RECYCLED, WORKER_DIED
from pytest_llmserve.serve.guard import start_mark
from pytest_llmserve.serve.process import ForeignServer, ServerProcess

_LOG_LINES = 400
"""As far back as the log is searched for workers that end on purpose."""


class Followed:
    """From now on this process has to stay. Mutable.

    Args:
        server: the process; None = it is not known.
        listener: looks up who listens at its port.
        name: of the server among several; "" where it is the only one.
    """

    def __init__(self, server: ServerProcess | ForeignServer | None, listener: Listener, name: str) -> None:
        self.server, self.name, self._listener = server, name, listener
        self.was_dead = server is not None and server.exit_status is not None
        self._launch = None if server is None else server.launch
        self.listened = None if server is None else listener.pid()
        self._workers: Workers | None = None
        main = self.main_pid
        if server is not None and main is not None and not self.was_dead:
            self._workers = Workers(lambda: workers_among(server.pids(), main))

    @property
    def main_pid(self) -> int | None:
        """The process that listens, else the first one."""
        return None if self.server is None else self.listened or self.server.pid

    @property
    def ended(self) -> bool:
        """The process that listened at the beginning has ended."""
        return self.listened is not None and self._listener.ended

    @property
    def exit_status(self) -> str | None:
        """How its first process ended; None = it runs, or is not known."""
        return None if self.server is None else self.server.exit_status

    @property
    def asked(self) -> bool:
        """It was told to end, or to start again."""
        server = self.server
        return server is not None and (server.told_to_stop or server.launch != self._launch)

    def begin_load(self) -> None:
        """The worker processes that are there have to live to the end of the test."""
        if self._workers is not None:
            self._workers.begin_load()

    def workers_ended(self) -> tuple[int, int]:
        """How many of the worker processes have ended so far, and in place of how many another one came."""
        return (0, 0) if self._workers is None else self._workers.ended()

    def seen(self) -> Seen:
        """What is seen of its processes now."""
        server, ended, exit_status = self.server, self.ended, self.exit_status
        if server is None:
            return Seen(lives=False)
        gone = ended or exit_status is not None
        return Seen(
            exit=exit_status,
            asked=self.asked,
            listened=self.listened,
            listens=self._listener.pid() if ended else self.listened,
            ended=ended,
            log=server.log_tail() if gone else "",
        )

    def with_workers(self, seen: Seen, lost: tuple[int, int], log: Mapping[str, int]) -> Seen:
        """With what became of the worker processes, and what may have been lost with them.

        Args:
            seen: of this process.
            lost: (requests that failed, requests that had to be sent again).
            log: what the log told, `LogWindow.counts`.
        """
        server = self.server
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

    def last_words(self, fate: Fate | None) -> str | None:
        """How it ended, with the end of its log; None where it has not.

        Args:
            fate: what became of it in the test.
        """
        if self.server is None or self.exit_status is None:
            return None
        when = "had ended before this test" if self.was_dead else "ended during the test"
        said = f"the server's process {when}: {self.exit_status}" if fate is None else fate.sentence
        return f"{named(self.name, said)}{self.server.last_lines}"


def followed_beside(opened: OpenServer) -> tuple[Followed, ...]:
    """The servers beside the first whose processes are known, each process once."""
    found, pids = [], {opened.pid}
    for each in opened.beside:
        # A later process with its pid is another one.
        if each.pid is not None and each.pid not in pids and start_mark(each.pid) in {None, each.mark}:
            log = each.logs[0] if each.logs else None
            found.append(Followed(ForeignServer(each.pid, log), Listener(each.target, each.pid), each.name))
            pids.add(each.pid)
    return tuple(found)

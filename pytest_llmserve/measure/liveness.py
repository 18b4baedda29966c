"""Whether it was the same server from the beginning of a test to its end, and whether it still answers."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_llmserve.domain.addresses import addresses_of, connect_error
from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.domain.liveness import Fate, Seen, fate_of
from pytest_llmserve.domain.outcome import REFUSED, RESET, TIMED_OUT
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import ResourceWindow
from pytest_llmserve.domain.target import Target
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure.opening import OpenServer

_UNANSWERED = frozenset({TIMED_OUT, REFUSED, RESET})
LEAST_SILENCE_NS = 2 * NS_PER_S
"""A server that has not answered for less may still do so."""
_ANSWER_S = 1.5


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

    def main_pid(self) -> tuple[int | None, str]:
        """The process that listens, else the first one; and why neither is known."""
        if self._server is None:
            why = "no fixture asked for the server" if self._opened is None else self._opened.why
            return None, f"the server's process is not known: {why}"
        return self._listened or self._server.pid, ""

    def expect_end(self) -> None:
        """The test itself is about to end the server: until `renew` nothing is wrong with that."""
        self._asked = True

    def end(self, runs: Sequence[LoadResult], window: ResourceWindow) -> Fate | None:
        """What became of the server; asks it only where its last requests went unanswered."""
        opened = self._opened
        if opened is None or self._was_dead:
            return None
        server, ended = self._server, self._listened is not None and opened.listener.ended
        exit_status = None if server is None else server.exit_status
        known = server is not None
        refuses, answers, silent_ns = False, False, silence_ns(runs)
        if exit_status is None and not ended and silent_ns is not None:
            refuses, answers = _asked_now(opened)
        seen = Seen(
            exit=exit_status,
            asked=self._asked
            or (server is not None and (server.told_to_stop or server.launch != self._launch)),
            listened=self._listened,
            listens=opened.listener.pid() if ended else self._listened,
            ended=ended,
            oom_kills=window.rise("oom_kills"),
            log=server.log_tail() if server is not None and (ended or exit_status is not None) else "",
            lives=known,
            refuses=refuses,
            silent_ns=silent_ns,
            answers_get=answers,
        )
        self.fate = fate_of(seen)
        return self.fate

    def last_words(self) -> str | None:
        """What became of the server, with the end of its log where it ended."""
        server, fate = self._server, self.fate
        if server is None or server.exit_status is None:
            return None if fate is None else fate.sentence
        said = f"the server's process ended during the test: {server.exit_status}"
        sentence = fate.sentence if fate is not None else said
        return f"{sentence}{server.last_lines}"


def silence_ns(runs: Sequence[LoadResult]) -> int | None:
    """For how long no request had been answered when the last one ended; None where that was answered."""
    ended = [r for run in runs[-1:] for r in run.everything if r.end_ns is not None]
    last = max(ended, key=lambda r: r.end_ns or 0, default=None)
    if last is None or last.outcome not in _UNANSWERED:
        return None
    heard_ns = max([runs[-1].start_ns, *(r.end_ns or 0 for r in ended if r.outcome not in _UNANSWERED)])
    silent_ns = max(0, (last.end_ns or 0) - heard_ns)
    return silent_ns if silent_ns >= LEAST_SILENCE_NS else None


def _asked_now(opened: OpenServer) -> tuple[bool, bool]:
    """(takes no connection, answers a plain GET)."""
    try:
        refuses = not takes_connections(opened.endpoint.target)
    except ServerUnusable:  # its name is not known any more, which says nothing of the server
        refuses = False
    return refuses, not refuses and opened.endpoint.is_alive(_ANSWER_S)


def takes_connections(target: Target) -> bool:
    """A connection can be opened, at one of the target's addresses."""
    return any(connect_error(address) is None for address in addresses_of(target))

"""Looks into the server while a test goes wrong: takes stacks in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import msgspec

from pytest_llmserve.domain.errors import MissingExtra
from pytest_llmserve.domain.liveness import named
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.domain.stacks import StackDump, ThreadStack
from pytest_llmserve.measure.alarms import Count, Mark, Over, Reason, alarm, due, failures
from pytest_llmserve.serve.stacks import Spy, py_spy, read_stacks

MOST_PROCESSES = 16
NOT_TAKEN = "stacks not taken: {}"
_END_S = 5.0
_STOPPED_S = 0.5
NO_PROCESS = "the server has no process that runs"

Pids = Callable[[], Iterable[int]]


@dataclass(frozen=True)
class Taken:
    """The dumps of one test.

    Attributes:
        missing: "stacks not taken: " and why, where there was a reason to take some and none could be.
    """

    dumps: tuple[StackDump, ...] = ()
    missing: str | None = None


class Looking:
    """Takes dumps of a server through one test. Mutable; asked from the thread that runs a load.

    Args:
        pids: the server's processes that run now; None = they are not known.
        why: why they are not.
        marks: limits that are judged.
        name: of the server among several; "" where it is the only one.
        beside: by name, the processes of its replicas: a dump is of all.
    """

    def __init__(
        self,
        pids: Pids | None,
        why: str,
        marks: Sequence[Mark] = (),
        name: str = "",
        beside: Mapping[str, Pids] | None = None,
    ) -> None:
        self._marks = marks
        self._servers = ({} if pids is None else {name: pids}) | dict(beside or {})
        self._unknown = None if pids is not None else f"the server's process is not known: {why}"
        self._missing = None if self._servers else self._unknown
        self._name = name
        self._rung = False
        self._asked_ns: list[int] = []
        self._plan: LoadPlan | None = None
        self._seen: dict[str, Count] = {}
        self._dumps: list[StackDump] = []
        self._thread: threading.Thread | None = None
        self._spy = Spy()

    def look(self, now: LoadProgress, plan: LoadPlan, over: Over) -> None:
        """Begin a dump if what the load sees is worth one; returns at once."""
        if plan is not self._plan:  # another run, which counts from nought
            self._plan, self._seen = plan, {}
        now_ns = time.monotonic_ns()
        reason = self._reason(now, plan, over, now_ns)
        self._seen |= failures(now)
        if reason is None:
            return
        self._rung = True
        self._seen[reason.kind] = reason.known
        if self._servers:
            self._asked_ns.append(now_ns)
            self._spy = Spy()
            arguments = (reason.text, dict(self._servers), self._spy)
            self._thread = threading.Thread(
                target=self._take, args=arguments, name="llmserve-stacks", daemon=True
            )
            self._thread.start()

    def _reason(self, now: LoadProgress, plan: LoadPlan, over: Over, now_ns: int) -> Reason | None:
        busy = self._thread is not None and self._thread.is_alive()
        if busy or (self._missing is not None and self._rung) or not due(self._asked_ns, now_ns, hang=True):
            return None
        any_reason = due(self._asked_ns, now_ns, hang=False)
        return alarm(now, plan, self._marks, over if any_reason else None, self._seen)

    def end(self, at_once: bool = False) -> None:
        """Give a dump under way a moment, or none, then end it; no further one is begun."""
        thread, self._servers = self._thread, {}
        if thread is None:
            return
        if not at_once:
            thread.join(_END_S)
        self._spy.stop()
        thread.join(_STOPPED_S if at_once else _END_S)

    @property
    def taken(self) -> Taken:
        """What there is so far."""
        read = tuple(dump for dump in self._dumps if dump.threads)
        if read or not self._rung:
            return Taken(read)
        unread = [why for dump in self._dumps for why in dump.missing]
        why = self._missing or "; ".join(unread[:2])
        return Taken((), NOT_TAKEN.format(why) if why else None)

    def _take(self, why: str, servers: Mapping[str, Pids], spy: Spy) -> None:
        at_ns = time.monotonic_ns()
        threads: list[ThreadStack] = []
        unread = [] if self._unknown is None else [named(self._name, self._unknown)]
        try:
            program = py_spy()
            running = {name: [*pids()] for name, pids in servers.items()}
            unread += [named(name, NO_PROCESS) for name, pids in running.items() if not pids]
            for name, pid in by_turns(running)[:MOST_PROCESSES]:
                found = read_stacks(program, pid, spy.run)
                if isinstance(found, str):
                    unread.append(named(name, found))
                else:
                    threads += [msgspec.structs.replace(thread, server=name) for thread in found]
        except MissingExtra as missing:
            self._missing = str(missing)
            return
        except Exception as error:  # a thread has no one to raise to
            unread.append(f"{type(error).__name__}: {error}")
        self._dumps.append(StackDump(at_ns=at_ns, why=why, threads=tuple(threads), missing=tuple(unread)))


def by_turns(running: Mapping[str, Sequence[int]]) -> list[tuple[str, int]]:
    """(server, process): the first process of each server, then the second of each."""
    turns = zip_longest(*([(name, pid) for pid in pids] for name, pids in running.items()))
    return [each for turn in turns for each in turn if each is not None]

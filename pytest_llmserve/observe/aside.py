"""A probe that may wait, read in a thread of its own: the grid of the sampler waits for nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.observe.probe import Probe, Readings

HANGS = "{} are no longer read, because a reading did not return within {:g} s"
NEVER = "{} are not available, because no reading had returned when the test was over"

HURRY_TIMES = 10
"""In a hurry a reading begins so many times later than the last one took."""


class Aside:
    """Reads a probe beside everything else; `read` hands over what it read last, each reading once.

    The thread begins with the first `read` or `fresh`. It alone touches the probe, `close` included,
    so a probe need not be safe against two threads, nor against being closed while it is read.
    Mutable state, guarded by `_turn`: the last reading, and why there are no more.

    Args:
        probe: any; one that opens something that may hang does so in its `read`.
        period_ns: from the beginning of a reading to that of the next.
        what: its figures, for sentences: "GPU figures".
        deadline_ns: a reading that takes longer is given up, and the probe with it.
        share: of a core, at most: costly readings come less often. The first one, which opens things,
            does not count.
        clock: monotonic, in ns.
        cpu_s: CPU seconds of the calling thread.
    """

    def __init__(
        self,
        probe: Probe,
        period_ns: int,
        what: str | None = None,
        *,
        deadline_ns: int = 10 * NS_PER_S,
        share: float = 1.0,
        clock: Callable[[], int] = time.monotonic_ns,
        cpu_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self.source = probe.source
        self._probe = probe
        self._period_ns, self._deadline_ns, self._clock = period_ns, deadline_ns, clock
        self._share, self._cpu_s = share, cpu_s
        self._what = what or f"{probe.source} figures"
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked = self._answered = 0
        self._began_ns: int | None = None
        self._full = self._told = self._read_before = self._stopping = self._over = False
        self._hurries = self._hurry_until_ns = 0
        self._hurry_period_ns = period_ns
        self._last: Readings = {}
        self._unread: Readings = {}
        self._lost: str | None = None

    @property
    def missing(self) -> str | None:
        """Why it tells nothing, or nothing more; or None."""
        return self._lost or self._probe.missing

    @property
    def answered(self) -> bool:
        """A reading has returned, or none will."""
        return self._read_before or self._over or self.missing is not None

    def read(self, full: bool) -> Readings:
        """The last reading if it was not handed over yet, else nothing; never waits.

        Raises:
            ProbeLost: there is nothing more to read, or a reading hangs.
        """
        with self._turn:
            self._begin()
            self._full = self._full or full
            unread, self._unread = self._unread, {}
            if not unread:
                self._give_up_when_hanging()
                if self._lost is not None:
                    raise ProbeLost(self._lost)
            return unread

    def fresh(self) -> Readings:
        """A full reading that begins after this call; waits for it.

        Raises:
            ProbeLost: there is nothing more to read, or the reading did not return within the deadline.
        """
        with self._turn:
            self._begin()
            self._asked += 1
            self._full = True
            mine = self._asked
            self._turn.notify_all()
            while self._answered < mine and self._goes_on:
                self._turn.wait(self._left_s)
                self._give_up_when_hanging()
            if self._answered >= mine:
                return self._last
            raise ProbeLost(self._lost or f"{self._what} are no longer read")

    def hurry(self, until_ns: int, period_ns: int) -> None:
        """Read at once, and until then so far apart: less often where readings take long, or much CPU.

        Args:
            until_ns: of the clock.
            period_ns: from the beginning of a reading to that of the next.
        """
        with self._turn:
            self._hurries += 1
            self._hurry_until_ns, self._hurry_period_ns = until_ns, period_ns
            self._turn.notify_all()

    def close(self) -> None:
        """End the thread; the probe is closed when a reading under way has returned."""
        with self._turn:
            self._stopping = True
            self._turn.notify_all()
            if self._thread is not None and not self._told and self._lost is None:
                self._lost = self._probe.missing or NEVER.format(self._what)
            hangs = self._lost is not None and not self._over
        if self._thread is None:
            self._probe.close()
        elif not hangs:
            self._thread.join(1.0)

    def _begin(self) -> None:
        if self._thread is None and not self._stopping:
            name = f"llmserve-{self.source}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    @property
    def _goes_on(self) -> bool:
        return self._thread is not None and not self._over and self._lost is None

    @property
    def _left_s(self) -> float:
        """Until the reading under way is given up; one that is about to begin has all of it."""
        spent_ns = 0 if self._began_ns is None else self._clock() - self._began_ns
        return max(0, self._deadline_ns - spent_ns) / NS_PER_S

    def _give_up_when_hanging(self) -> None:
        began_ns = self._began_ns
        if self._lost is None and began_ns is not None and self._clock() - began_ns > self._deadline_ns:
            self._lost = HANGS.format(self._what, self._deadline_ns / NS_PER_S)
            self._turn.notify_all()

    def _run(self) -> None:
        why = None
        try:
            while self._read_once():
                pass
        except ProbeLost as lost:
            why = str(lost)
        except Exception as error:  # the thread has no one to raise to: `missing` tells the test
            why = f"the probe of {self._what} failed: {type(error).__name__}: {error}"
        with self._turn:
            self._lost, self._over = self._lost or why, True
            self._turn.notify_all()
        self._probe.close()

    def _read_once(self) -> bool:
        """Read, keep it and wait for the next turn; False when there is none."""
        with self._turn:
            began_ns = self._began_ns = self._clock()
            asked, full, self._full = self._asked, self._full, False
            hurries = self._hurries
        began_s = self._cpu_s()
        readings = self._probe.read(full)
        cost_ns = (self._cpu_s() - began_s) * NS_PER_S if self._read_before else 0.0
        with self._turn:
            self._read_before = True
            self._began_ns = None
            self._last = self._unread = readings
            self._told = self._told or bool(readings)
            self._answered = asked
            self._turn.notify_all()
            now_ns = self._clock()
            period_ns: float = self._period_ns
            if now_ns < self._hurry_until_ns:
                period_ns = hurried_ns(period_ns, self._hurry_period_ns, now_ns - began_ns)
            period_ns = max(period_ns, cost_ns / self._share)
            wait_s = max(0, began_ns + period_ns - now_ns) / NS_PER_S
            self._turn.wait_for(
                lambda: (
                    self._stopping or self._lost is not None or self._asked > asked or self._hurries > hurries
                ),
                wait_s,
            )
            return not self._stopping and self._lost is None


def hurried_ns(period_ns: float, hurry_ns: int, took_ns: int) -> float:
    """From one reading to the next in a hurry: a tenth of the time at most, as who answers has other work.

    Args:
        period_ns: when there is none.
        hurry_ns: at least.
        took_ns: the reading.
    """
    return min(period_ns, max(hurry_ns, HURRY_TIMES * took_ns))

"""A worker's event loop in open loop: requests leave when the schedule says, whatever the server does."""

from __future__ import annotations

import resource
import time
from collections import deque
from collections.abc import Iterator

from pytest_llmserve.domain.exchange import Ending, Prompt
from pytest_llmserve.domain.units import duration_text
from pytest_llmserve.load.connection import User
from pytest_llmserve.load.flight import NEVER_SENT, Flight, Landed, Recorder
from pytest_llmserve.load.job import Job
from pytest_llmserve.load.loop import TURNS_AT_ONCE, LoadLoop
from pytest_llmserve.load.pacing import connections_of
from pytest_llmserve.load.places import Places
from pytest_llmserve.load.schedule import Arrival, Schedule
from pytest_llmserve.load.trace import TraceRow, prompt_text, rows_from_json, sized

monotonic_ns = time.monotonic_ns

LATE_LIMIT_NS = 100_000_000
"""An arrival that the loop reaches later than this is dropped: sent then, it would be another load."""

# Requests are written, and connections opened, so long before they are due: a TCP and a TLS
# handshake take up to four crossings, and few servers are more than 25 ms away from their test.
AHEAD_NS = 100_000_000


class OpenLoop(LoadLoop):
    """Sends this worker's arrivals. One run long.

    Here a user is only a place for one request, with its connection, see `Places`.
    """

    def __init__(self, job: Job, recorder: Recorder, control_fd: int | None = None) -> None:
        super().__init__(job, recorder, control_fd)
        self._rows = rows_from_json(job.trace_json) if self.plan.trace is not None else None
        recorded_ns = None if self._rows is None else [row.at_ns for row in self._rows]
        self._schedule = Schedule(self.plan, job.index, recorded_ns, job.trace_end_ns)
        self._arrivals: Iterator[Arrival] = iter(self._schedule)
        self._later: Arrival | None = None
        self._coming: deque[Flight] = deque()
        servers = 1 + len(job.others)
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // servers
        most = connections_of(job.index, self.plan.workers, self.plan.max_concurrency, descriptors)
        self._places = Places(most, servers)

    def _start(self) -> None:
        self._active = 1  # the schedule itself
        self._later = next(self._arrivals, None)
        self._look_ahead(monotonic_ns())

    def _fire_due(self, now_ns: int) -> None:
        self._look_ahead(now_ns)
        for _ in range(TURNS_AT_ONCE):
            if not self._coming or self._coming[0].scheduled_ns > now_ns:
                break
            self._depart(self._coming.popleft())
        super()._fire_due(now_ns)
        if self._coming:
            self._due_ns = min(self._due_ns, self._coming[0].scheduled_ns)
        if self._later is not None:
            self._due_ns = min(self._due_ns, self.start_ns + self._later.at_ns - AHEAD_NS)
        elif not self._coming:
            self._end_schedule()

    def _end_schedule(self) -> None:
        if self.drain_ns == 0:
            self.drain_ns = self.start_ns + (self._schedule.end_ns or 0)
            self._active -= 1

    def drain(self) -> None:
        """Forget the arrivals that have not departed; they were not sent, and not dropped."""
        if self.drain_ns == 0:  # else the schedule has been walked to its end
            super().drain()
            self._later = None
            self._coming.clear()
            self._places.forget()
            self._active -= 1

    def _look_ahead(self, now_ns: int) -> None:
        """Make ready what is due soon."""
        horizon_ns, fresh = now_ns - self.start_ns + AHEAD_NS, 0
        while self._later is not None and self._later.at_ns <= horizon_ns:
            flight = self._write(self._later)
            self._coming.append(flight)
            self._places.expect(self.requests.servers[flight.replica])
            self._later = next(self._arrivals, None)
            fresh += 1
        for user in self._places.to_open(fresh):  # one try an arrival: the server may be gone
            self.transport.prepare(user)

    def _depart(self, flight: Flight) -> None:
        """An arrival is due: send it, or say that it was not."""
        late_ns = monotonic_ns() - flight.scheduled_ns
        server = self.requests.servers[flight.replica]
        if late_ns > LATE_LIMIT_NS:
            limit = duration_text(LATE_LIMIT_NS)
            self._places.drop(server)
            self._drop(flight, f"never sent: reached {duration_text(late_ns)} after its time, over {limit}")
        elif (user := self._places.take(server)) is None:
            self.crowded += 1
            busy = self._places.busy
            self._drop(flight, f"never sent: {busy} requests were under way, as many as may be")
        else:
            self._active += 1
            self.sent += 1
            user.flight = flight
            self.transport.carry(user)

    def _drop(self, flight: Flight, why: str) -> None:
        self.recorder.keep(Landed(flight, None, Ending(NEVER_SENT, why), None))

    def _next(self, user: User, from_ns: int) -> None:  # noqa: ARG002 - the schedule does not wait
        self._active -= 1
        user.failures = 0
        self._places.free(user)

    def _write(self, arrival: Arrival) -> Flight:
        row = None if self._rows is None else self._rows[arrival.number // self.plan.workers]
        prompt, params = self._prompt_of(arrival, row), None if row is None else row.params
        flight = self._make_flight(arrival.number, arrival.warm_up, arrival.stage, prompt, params)
        flight.scheduled_ns = self.start_ns + arrival.at_ns
        return flight

    def _prompt_of(self, arrival: Arrival, row: TraceRow | None) -> Prompt | None:
        """The recorded prompt, or one of its length made of the prompt set; None = from the set as it is."""
        if row is None or row.chars is None:
            return None if row is None else row.prompt
        text = prompt_text(self.requests.prompt(arrival.number))
        return sized(text, max(1, row.chars - self.requests.mark_chars(arrival.number)))

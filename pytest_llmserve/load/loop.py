"""A worker's event loop: users take turns, the transport carries their requests.

Everything that decides is elsewhere (pacing, http, dialects); here it is only done.
"""

from __future__ import annotations

import heapq
import os
import random
import time
from typing import Any

from pytest_llmserve.domain.exchange import COMPLETE as WHOLE
from pytest_llmserve.domain.exchange import TIME_LIMIT, Ending, Prompt
from pytest_llmserve.domain.plan import COMPLETE, DECIDED
from pytest_llmserve.load.connection import User
from pytest_llmserve.load.flight import Flight, Landed, Recorder, step_of
from pytest_llmserve.load.http import Answer
from pytest_llmserve.load.job import DRAIN, Job
from pytest_llmserve.load.pacing import (
    Turn,
    backoff_ns,
    next_turn,
    requests_of,
    start_ns,
    think_ns,
    users_of,
)
from pytest_llmserve.load.presences import Presences
from pytest_llmserve.load.requests import RequestWriter
from pytest_llmserve.load.stages import Span, spans_of, stage_at, stage_starts
from pytest_llmserve.load.talks import Talks
from pytest_llmserve.load.transports import transport_class

monotonic_ns = time.monotonic_ns

_IDLE_WAIT_NS = 250_000_000
# Decoded in a fraction of a second, so that a stop is not kept waiting.
_BACKLOG_BYTES = 16_000_000
# A core that is busy without a pause sees many answers end in each turn, and would pile them up.
_MOST_BACKLOG_BYTES = 32_000_000
TURNS_AT_ONCE = 32
"""Users that begin before the sockets get a look: answers left unread for long come together."""

INTERRUPTED = "interrupted"


class LoadLoop:
    """Plays this worker's users in a closed loop. One run long.

    Attributes:
        ended: why the load ended; "complete" by default.
        presence: of the servers.
        unfinished: requests under way when the load was cut.
        sent, landed: requests begun, further tries included, and those of them that are over.
        crowded: arrivals dropped because no connection was free for them.
        drain_ns: when the first user would have begun a request and none was left, or the
            measured time was over.
    """

    def __init__(self, job: Job, recorder: Recorder, control_fd: int | None = None) -> None:
        self.job, self.plan, self.recorder = job, job.plan, recorder
        self._control_fd = control_fd
        self.transport = transport_class(job.plan.transport)(job, self._landed, control_fd)
        self.ended = COMPLETE
        self.presence = Presences(1 + len(job.others), 0, job.plan.timeout_ns)
        self.unfinished = self.sent = self.landed = self.crowded = 0
        self.start_ns = self.drain_ns = 0
        self.requests = RequestWriter(job)
        self._two_steps = self.requests.two_steps
        self._talks = Talks(self.requests, recorder, job.plan.salt) if self.requests.converses else None
        self._rng = random.Random(job.plan.seed * 1_000_003 + job.index)
        self._stage_starts = stage_starts(job.plan)
        self._spans: dict[int, list[Span]] = {}
        self._share = requests_of(job.index, job.plan.workers, job.plan.requests, job.plan.most_users)
        self._begun = self._next_number = 0
        self._turns: list[tuple[int, int, User]] = []
        self._active = 0
        # A limit set since the last look is at most a tenth of itself late.
        self._idle_ns = min(_IDLE_WAIT_NS, max(1_000_000, job.plan.timeout_ns // 10))
        self._due_ns = 0  # nothing but sockets needs a look before

    def run(self, begin_ns: int) -> None:
        """Play the plan from `begin_ns` (monotonic) on, until it is done or `cut` is called."""
        self.start_ns = begin_ns
        servers, alone = 1 + len(self.job.others), self.plan.workers == 1
        self.presence = Presences(servers, begin_ns, self.plan.timeout_ns, alone=alone)
        self._start()
        self._turn_loop()
        self.drain_ns = self.drain_ns or monotonic_ns()
        if self.ended != COMPLETE:
            self.drain_ns = min(self.drain_ns, monotonic_ns())
        self.unfinished = self.sent - self.landed + sum(user.flight is not None for _, _, user in self._turns)
        self.transport.close()

    def _start(self) -> None:
        for number in users_of(self.job.index, self.plan.workers, self.plan.most_users):
            begin_ns = start_ns(self.plan, number)
            if self.plan.stages:
                self._spans[number] = spans = spans_of(self.plan, number)
                if not spans:  # of no length after scaling
                    continue
                begin_ns = spans[0][0]
            self._active += 1
            self._push(self.start_ns + begin_ns, User(number))

    def _turn_loop(self) -> None:
        """Run until no user is left. Once for each packet or so: what can wait is asked only when due."""
        wait, recorder = self.transport.wait, self.recorder
        while self._active > 0:
            now_ns = monotonic_ns()
            if now_ns >= self._due_ns:
                self._fire_due(now_ns)
                if self._active <= 0 or self._due_ns > now_ns:
                    continue
            spare_ns = recorder.wait_ns(now_ns)
            ready, told = wait(max(0, min(spare_ns, self._due_ns - now_ns)) / 1e9)
            if told:
                self._heed()
            if (not spare_ns and not ready) or recorder.waiting_bytes > _BACKLOG_BYTES:
                recorder.work()
            while recorder.waiting_bytes > _MOST_BACKLOG_BYTES:
                recorder.work()

    def decode_rest(self) -> None:
        """Decode what is left, after the load."""
        while self.recorder.waiting:
            self.recorder.work()

    def _heed(self) -> None:
        """Do what the control pipe says; its end says to cut."""
        assert self._control_fd is not None
        if os.read(self._control_fd, 1) == DRAIN:
            self.drain()
        else:
            self.cut(INTERRUPTED)

    def drain(self) -> None:
        """Begin no further request; those under way may end, and be tried again."""
        if self._active <= 0:
            return
        self.ended, now_ns = DECIDED, monotonic_ns()
        self.drain_ns = min(self.drain_ns or now_ns, now_ns)
        under_way = [turn for turn in self._turns if turn[2].flight is not None]
        self._active -= len(self._turns) - len(under_way)
        self._turns = under_way
        heapq.heapify(self._turns)

    def cut(self, why: str) -> None:
        """End now; what is under way is dropped and counted as unfinished. The first reason stands."""
        if self._active > 0:
            self.ended = why
            self._active = 0

    def _push(self, at_ns: int, user: User) -> None:
        heapq.heappush(self._turns, (at_ns, user.number, user))
        self._due_ns = min(self._due_ns, at_ns)

    def _fire_due(self, now_ns: int) -> None:
        for _ in range(TURNS_AT_ONCE):
            if self._active <= 0 or not self._turns or self._turns[0][0] > now_ns:
                break
            at_ns, _, user = heapq.heappop(self._turns)
            self._begin(user, at_ns)
        self.transport.expire(now_ns)
        due = (self.transport.next_limit_ns(), self._turns[0][0] if self._turns else None)
        self._due_ns = min([now_ns + self._idle_ns, *(at for at in due if at is not None)])

    def _begin(self, user: User, at_ns: int) -> None:
        """A user's turn has come."""
        if user.flight is None:
            turn = self._turn(user, at_ns, 0)
            if turn is None:
                self._retire(at_ns)
                return
            user.flight = self._flight_for(turn, user)
            user.flight.opens, user.begun = not user.begun, True
        user.flight.scheduled_ns = at_ns
        self.sent += 1
        self.transport.carry(user)

    def _turn(self, user: User, from_ns: int, pause_ns: int) -> Turn | None:
        if self.ended == DECIDED:
            return None
        spans = self._spans.get(user.number)
        return next_turn(self.plan, from_ns - self.start_ns, pause_ns, self._begun, self._share, spans)

    def _flight_for(self, turn: Turn, user: User) -> Flight:
        self._begun += not turn.warm_up
        stage, talks, flight = stage_at(self._stage_starts, turn.at_ns), self._talks, None
        if talks is not None:
            flight = talks.go_on(user.number, turn.warm_up, stage)
        if flight is None:
            request_id = self.job.index + self._next_number * self.plan.workers
            self._next_number += 1
            if talks is not None:
                flight = talks.begin(user.number, request_id, turn.warm_up, stage)
        return flight or self._make_flight(request_id, turn.warm_up, stage)

    def _make_flight(
        self,
        request_id: int,
        warm_up: bool,
        stage: int,
        prompt: Prompt | None = None,
        params: dict[str, Any] | None = None,
    ) -> Flight:
        """Write a request; the prompt is the set's unless one is given, `params` come over the plan's."""
        written = self.requests.write(request_id, prompt, params)
        raw, chars, task, replica = written
        return Flight(request_id, raw, chars, task, warm_up, stage, replica)

    def _landed(self, user: User, answer: Answer | None, ending: Ending, end_ns: int) -> None:
        """A request is over: record it, plan the user's next."""
        flight = user.flight
        assert flight is not None
        if self._two_steps and self._go_on(user, flight, answer, ending, end_ns):
            return
        self.landed += 1
        unanswered = answer is None or answer.status is None
        user.failures = user.failures + 1 if unanswered and ending.how != TIME_LIMIT else 0
        self._see_presence(flight, ending, end_ns)
        landed = Landed(flight, answer, ending, end_ns)
        if self.plan.retries:
            if not self.recorder.record(landed) and flight.attempt <= self.plan.retries:
                flight.next_attempt()
                self._push(end_ns + backoff_ns(user.failures), user)
                return
        else:
            self.recorder.keep(landed)
        if self._talks is not None:
            self._talks.landed(user.number, landed)
        user.flight = None
        self._next(user, end_ns)

    def _go_on(self, user: User, flight: Flight, answer: Answer | None, ending: Ending, end_ns: int) -> bool:
        """Send the request that fetches the answer, where this exchange only ordered it."""
        if answer is None or ending.how != WHOLE or flight.steps:
            return False
        raw = self.requests.next_bytes(flight.raw, answer, flight.replica)
        if raw is None:
            return False
        flight.go_on(step_of(flight, answer, end_ns), raw)
        self.transport.carry(user)
        return True

    def _next(self, user: User, from_ns: int) -> None:
        """Plan a user's next turn after a request that ended at `from_ns`."""
        pause = max(think_ns(self.plan, self._rng), backoff_ns(user.failures))
        turn = self._turn(user, from_ns, pause)
        if turn is None:
            self._retire(from_ns + pause)
        else:
            self._push(self.start_ns + turn.at_ns, user)

    def _retire(self, at_ns: int) -> None:
        """A user's request due at `at_ns` is not in the plan any more: from there on the load is less."""
        if self.plan.measured_ns is not None:
            end_ns = self.start_ns + self.plan.warm_up_ns + self.plan.measured_ns
            # With stages the plan itself wants fewer users; the load is less only where it ends.
            at_ns = end_ns if self.plan.stages else min(at_ns, end_ns)
        self.drain_ns = min(self.drain_ns or at_ns, at_ns)
        self._active -= 1

    def _see_presence(self, flight: Flight, ending: Ending, end_ns: int) -> None:
        """Give up on servers that are gone."""
        heard_ns, under_way, one = self.transport.heard_ns, self.transport.under_way, self.presence.one
        if one is not None:
            over = one.ended(ending, flight.sent_ns, end_ns, heard_ns, under_way)
        else:
            server = self.requests.servers[flight.replica]
            over = self.presence.ended(server, ending, flight.sent_ns, end_ns, heard_ns, under_way)
        if over:
            self.cut(f"gave up: {self.presence.gone}")

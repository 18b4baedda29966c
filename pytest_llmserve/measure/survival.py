"""Puts hostile inputs to a server, one after the other, and looks at what each of them does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from pytest_llmserve.checks.surviving import Beside, is_decided, is_right, reference_of, survival_of, usual_ms
from pytest_llmserve.domain.exchange import HttpRequest
from pytest_llmserve.domain.outcome import HTTP_4XX, OK
from pytest_llmserve.domain.survival import Answered, Neighbour, Reference, Said, Survival
from pytest_llmserve.measure.jump import Jump
from pytest_llmserve.measure.neighbours import Neighbours, ended_before, overlapping, why_failed
from pytest_llmserve.measure.opening import OpenServer
from pytest_llmserve.measure.recovery import PROBE, manners
from pytest_llmserve.measure.watch import Watch
from pytest_llmserve.serve.curl import shown_request
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.reply import Reply

_ASKED = 3
"""The probe is asked so often before the first case, alone and once more in company."""
_END_LIMIT_S = 1.0
_LOOK_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Case:
    """One hostile input, and how it is looked at.

    Attributes:
        request: sent as it is.
        timeout_s: for its answer, that of the probe and those of the neighbours.
        memory_bytes: what the server's memory may rise by, beyond what the input itself weighs.
        neighbours: look at these too.
        probe: ask it, even where the case was answered.
        asked: the request is a question of the API, so that a 2xx has to be an answer.
    """

    request: HttpRequest
    timeout_s: float
    memory_bytes: int
    neighbours: bool = True
    probe: bool = True
    asked: bool = False


class Around:
    """What is looked at beside the cases of one test, for as long as the server is the same. Mutable.

    Args:
        opened: the server.
        watch: that reads its processes.
        workers_ended: how many of its worker processes have ended in this test; read seldom.
    """

    def __init__(self, opened: OpenServer, watch: Watch, workers_ended: Callable[[], int]) -> None:
        self._opened, self._watch, self._workers_ended = opened, watch, workers_ended
        self._ended_before = workers_ended()
        self._listened = opened.listener.pid()
        self._was_dead = self._dead() is not None
        self._neighbours: Neighbours | None = None
        self._sick: str | None = None
        self._jump: Jump | None = None

    def close(self) -> None:
        """End the neighbours."""
        if self._neighbours is not None:
            self._neighbours.stop()

    def accompany(self, case: Case, reference: Reference) -> bool:
        """See to it that a neighbour's question is under way, where one is wanted; False = none is."""
        if not case.neighbours or self._sick is not None:
            return False
        if self._neighbours is not None:
            self._neighbours.call(case.timeout_s)
            return self._neighbours.lost is None
        self._neighbours = Neighbours(self._opened.endpoint.target, reference.params, case.timeout_s)
        self._neighbours.call(case.timeout_s)
        first = [*self._neighbours.over(time.monotonic_ns()), None][0]
        if first is None or first.outcome != OK:
            why = self._neighbours.lost or why_failed(first, case.timeout_s)
            self._sick = f"neighbours, as the first one failed before any case ({why})"
            self._neighbours.stop()
            return False
        self._neighbours.call(case.timeout_s)
        return self._neighbours.lost is None

    def leave_alone(self) -> None:
        """Let no neighbour ask until the next case."""
        if self._neighbours is not None and self._sick is None:
            self._neighbours.rest()

    def begin(self) -> None:
        """A case is about to begin: what its memory is now."""
        if self._jump is None:
            self._jump = Jump(*self._watch.tree)
        self._jump.before()

    def seen(self, case: Case, answered: Answered, reference: Reference, probes: tuple[Said, ...]) -> Beside:
        """What there was beside the answer."""
        met, usual = self._met(case, answered)
        silent = any(each.text is None for each in probes)
        broken = answered.outcome not in {OK, HTTP_4XX} or any(each.outcome != OK for each in met)
        ended = self._ended(silent, silent or broken)
        jump = None if self._jump is None or ended is not None else self._jump.after(case.memory_bytes)
        return Beside(
            sent=case.request.body,
            clean=self._opened.endpoint.cleaned,
            reference=reference,
            probes=probes,
            ended=ended,
            jump_bytes=jump,
            limit_bytes=case.memory_bytes,
            neighbours=met,
            usual_ms=usual,
            not_seen=tuple(self._not_seen(case, reference, jump, ended)),
        )

    def _met(self, case: Case, answered: Answered) -> tuple[tuple[Neighbour, ...], float | None]:
        """The neighbours that were under way during the case, and how long one took before."""
        if not case.neighbours or self._neighbours is None or self._sick is not None:
            return (), None
        found = self._neighbours.over(answered.end_ns)
        before = ended_before(found, answered.begun_ns)
        return overlapping(found, answered.begun_ns, answered.end_ns), usual_ms(before)

    def _dead(self) -> str | None:
        opened = self._opened
        status = None if opened.server is None else opened.server.exit_status
        if status is None and (self._listened is None or not opened.listener.ended):
            return None
        now = opened.listener.pid()
        others = now is not None and now != self._listened
        what = status or f"pid {self._listened} is gone"
        return f"its process ended: {what}" + (f", pid {now} listens at its port now" if others else "")

    def _ended(self, silent: bool, broken: bool) -> str | None:
        """What became of its process, or of one of its workers.

        Args:
            silent: it did not answer the probe; then it may be about to end.
            broken: something went wrong, which may be the end of a worker.
        """
        if self._was_dead:
            return None
        deadline = time.monotonic() + (_END_LIMIT_S if silent else 0.0)
        while (dead := self._dead()) is None and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        server = self._opened.server
        while dead and server is not None and not server.exit_status and time.monotonic() < deadline:
            time.sleep(_LOOK_S)  # it is gone; how, is known when it has been waited for
        dead = dead and self._dead()
        if dead is not None or not broken:
            return dead
        before, self._ended_before = self._ended_before, self._workers_ended()
        ended = self._ended_before - before
        return f"{ended} of its worker processes ended" if ended > 0 else None

    def _not_seen(self, case: Case, reference: Reference, jump: int | None, ended: str | None) -> list[str]:
        clauses = []
        if self._opened.server is None and self._listened is None:
            clauses.append(f"its process ({self._opened.why})")
        if jump is None and ended is None and self._jump is not None:
            clauses.append(f"its memory ({self._jump.missing})")
        if case.probe and reference.unknown is not None:
            clauses.append(reference.unknown)
        lost = None if self._neighbours is None or not case.neighbours else self._neighbours.lost
        return [*clauses, *(each for each in (self._sick, lost) if each is not None)]


class Trials:
    """One session long. Mutable: what the server answers to the probe.

    Args:
        endpoint: that the cases go to.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.reference: Reference | None = None

    def put(self, case: Case, around: Around) -> Survival:
        """Send an input, and judge what it does.

        Raises:
            SetupError: it cannot be sent as HTTP.
        """
        reference = self._learnt(case, around)
        around.begin()
        around.accompany(case, reference)
        answered = self._endpoint.answered(case.request, case.timeout_s, asked=case.asked)
        asks = case.probe or answered.status is None
        probes = self._probed(case.timeout_s, reference, around) if asks else ()
        beside = around.seen(case, answered, reference, probes)
        return self._shown(survival_of(answered, beside), case)

    def is_right(self, limit_s: float) -> bool:
        """The server answers the probe, as it did before."""
        reference = self.reference or Reference()
        return is_right(reference, self._ask(limit_s, reference))

    def _learnt(self, case: Case, around: Around) -> Reference:
        """What the probe is answered before any case, alone, and in company where the first is to have some.

        Nothing is learnt later: an answer that comes after a case may be its doing.
        """
        if self.reference is None:
            params, first = self._introduced(case.timeout_s)
            known = Reference(params=params)
            alone, beside = [first], list[Said]()
            if first.text is not None:
                alone += [self._ask(case.timeout_s, known) for _ in range(_ASKED - 1)]
                while len(beside) < _ASKED and around.accompany(case, known):
                    beside.append(self._ask(case.timeout_s, known))
            self.reference = reference_of(params, alone, beside)
        return self.reference

    def _introduced(self, limit_s: float) -> tuple[dict[str, object], Said]:
        """The fields that the server takes, and its first answer."""
        for params in manners(self._endpoint.api):
            reply = self._endpoint.generate(PROBE, timeout=limit_s, **params)
            if reply.outcome != HTTP_4XX:
                break
        return params, self._said_in(reply)

    def _ask(self, limit_s: float, reference: Reference) -> Said:
        return self._said_in(self._endpoint.generate(PROBE, timeout=limit_s, **reference.params))

    def _said_in(self, reply: Reply) -> Said:
        # Without secrets from the beginning: what is shown of it is cut.
        return Said(self._endpoint.redact(reply.text) if reply.ok else None, reply.error)

    def _probed(self, limit_s: float, reference: Reference, around: Around) -> tuple[Said, ...]:
        """Ask, and where the answer is none of those before, ask on with nobody beside."""
        said = [self._ask(limit_s, reference)]
        if not is_decided(reference, said):
            around.leave_alone()  # company may change a word
        while not is_decided(reference, said):
            said.append(self._ask(limit_s, reference))
        return tuple(said)

    def _shown(self, survival: Survival, case: Case) -> Survival:
        """With the input beside it, and without secrets."""
        redact, body = self._endpoint.redact, case.request.body
        sent = shown_request(self._endpoint.target, case.request)
        return structs.replace(
            survival,
            what=redact(survival.what),
            faults=tuple(map(redact, survival.faults)),
            evidence=(f"sent: {sent}", *map(redact, survival.evidence)),
            unusable=None if survival.unusable is None else redact(survival.unusable),
            sent=sent,
            input_bytes=len(body),
            input_sha256=hashlib.sha256(body).hexdigest(),
        )

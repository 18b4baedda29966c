"""`llm_endpoint.survives`: one case after the other, counted for the report, and the server put back."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmserve.domain.errors import LlmServeError, ServerGone
from pytest_llmserve.domain.survival import Survival
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure.survival import Around, Case, Trials
from pytest_llmserve.plugin.options import value
from pytest_llmserve.plugin.serverface import ServerFace
from pytest_llmserve.plugin.settings import server_wish

if TYPE_CHECKING:
    from pytest_llmserve.plugin.state import State
    from pytest_llmserve.plugin.testrun import TestRun
    from pytest_llmserve.serve.endpoint import Endpoint

REPORTED = 20
"""So many inputs that were not survived are in the report of a test."""
_RETURN_LIMIT_S, _LOOK_S, _PROBE_LIMIT_S = 10.0, 0.2, 5.0
_NOTHING = {"cases": 0, "survived": 0, "restarts": 0, "restart_s": 0.0}
_TODO = (
    "let --llm-serve 'CMD --port {port}' start it, and it is started again after such an input;"
    " or start it again by hand"
)


@dataclass(frozen=True)
class _Gone:
    """A server that is of no use any more.

    Attributes:
        url: of it.
        nodeid: of the test with the input that has ended it.
        why: it was not started again, a clause.
        survival: of that input.
    """

    url: str
    nodeid: str
    why: str
    survival: Survival

    def told_in(self, nodeid: str) -> str:
        """All of it in the test that has done it, and one line in every other."""
        since = (
            f"no further input can be judged: the server at {self.url} is of no use since an input of"
            f" {self.nodeid} ({self.survival.unusable})"
        )
        if nodeid != self.nodeid:
            return f"{since}; that test tells the input"
        return "\n".join([f"{since}, and {self.why}: {_TODO}. That input:", *self.survival.lines])


class Survivals:
    """One session long. Mutable: what is around the cases of this test, and whether there is a server.

    Args:
        state: of the session.
        endpoint: that the cases go to.
    """

    def __init__(self, state: State, endpoint: Endpoint) -> None:
        self._state = state
        self._trials = Trials(endpoint)
        self._around: tuple[TestRun, Around] | None = None
        self._gone: _Gone | None = None
        self._waited = False
        self._turn = threading.Lock()

    def put(self, case: Case, restart: bool) -> Survival:
        """Put one case to the server; where it ends the server, or harms it for good, start it again.

        Raises:
            ServerGone: an earlier case has, and it was not started again.
            SetupError: the input cannot be sent as HTTP.
        """
        __tracebackhide__ = True
        with self._turn:  # async code may ask for several at once: whose harm would it be?
            return self._put(case, restart)

    def _put(self, case: Case, restart: bool) -> Survival:
        __tracebackhide__ = True
        test = self._state.current
        assert test is not None
        if self._gone is not None and not self._is_back():
            raise ServerGone(self._gone.told_in(test.item.nodeid))
        survival = self._trials.put(case, self._around_of(test))
        self._count(test, survival)
        if survival.unusable is not None:
            self._put_back(test, survival, restart)
        return survival

    def _around_of(self, test: TestRun) -> Around:
        if self._around is None or self._around[0] is not test:
            opened, watch = self._state.renewed(), test.watch
            assert opened is not None
            assert watch is not None
            liveness = test.vigil.liveness
            around = Around(opened, watch, lambda: liveness.workers_ended()[0])
            test.closing.callback(around.close)
            self._around = test, around
        return self._around[1]

    def _count(self, test: TestRun, survival: Survival) -> None:
        found = test.noted.setdefault("survival", dict(_NOTHING) | {"faults": []})
        found["cases"] += 1
        found["survived"] += bool(survival)
        if survival:
            return
        test.harmed = survival
        if len(found["faults"]) < REPORTED:
            keep_text = bool(value(self._state.config, "--llm-keep-text"))
            found["faults"].append(_row(survival, keep_text))

    def _put_back(self, test: TestRun, survival: Survival, restart: bool) -> None:
        """Start the server again, or say since when it is of no use."""
        self._leave()
        face, why = self._own(), "it was not started by this test run"
        if face is not None and restart:
            try:
                self._start_again(face, test)
            except (LlmServeError, pytest.fail.Exception) as error:
                why = f"it could not be started again: {error}"
            else:
                return
        elif face is not None:
            why = "it was not started again, as restart=False"
        self._waited = False
        url = test.redacted(self._state.open().endpoint.url)
        self._gone = _Gone(url, test.item.nodeid, why, survival)

    def _start_again(self, face: ServerFace, test: TestRun) -> None:
        """The time of a restart belongs to the test whose input has made it necessary."""
        begun = time.monotonic()
        if face.alive:
            face.stop()
        face.recovers(server_wish(self._state.config).ready_ns / NS_PER_S)
        found = test.noted["survival"]
        found["restarts"] += 1
        found["restart_s"] = round(found["restart_s"] + time.monotonic() - begun, 3)

    def _own(self) -> ServerFace | None:
        """The server, where it was started here."""
        opened = self._state.opened
        if opened is None or opened.server is None:
            return None
        face = ServerFace(self._state)
        return face if face.ours else None

    def _is_back(self) -> bool:
        """Somebody has started it again; the first time that is waited for."""
        deadline = time.monotonic() + (0.0 if self._waited else _RETURN_LIMIT_S)
        self._waited = True
        while not self._trials.is_right(_PROBE_LIMIT_S):
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_S)
        ServerFace(self._state).watch_anew()
        self._leave()
        self._gone = None
        return True

    def _leave(self) -> None:
        """What was around the server that was there is not around the next one."""
        if self._around is not None:
            self._around[1].close()
            self._around = None


def _row(survival: Survival, keep_text: bool) -> dict[str, Any]:
    """An input that was not survived, for the report."""
    row = {
        "what": survival.what,
        "faults": list(survival.faults),
        "outcome": survival.outcome,
        "status": survival.status,
        "took_ms": round(survival.took_ms, 3),
        "bytes": survival.input_bytes,
        "sha256": survival.input_sha256,
    }
    return row | ({"sent": survival.sent} if keep_text else {})

"""The server's process, as a test has it in hand."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_llmserve.domain.errors import LlmServeError, SetupError
from pytest_llmserve.domain.recovery import Before, Outage, Recovery
from pytest_llmserve.domain.units import duration_ns
from pytest_llmserve.measure.recovery import before_of, wait_recovered
from pytest_llmserve.serve.guard import start_mark
from pytest_llmserve.serve.process import ForeignServer, ServerProcess

if TYPE_CHECKING:
    from pytest_llmserve.measure.liveness import Liveness
    from pytest_llmserve.measure.opening import OpenServer
    from pytest_llmserve.plugin.state import State

_END_LIMIT_S = 10.0


class ServerFace:
    """The process behind the endpoint. Mutable: what it answered before it was ended.

    Args:
        state: of the session, with a server whose process is known.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._before: Before | None = None
        self._ended: tuple[object, int] | None = None

    @property
    def _end_ns(self) -> int | None:
        """When the test that runs now ended the server; what an earlier one did is long past."""
        return self._ended[1] if self._ended is not None and self._ended[0] is self._state.current else None

    @property
    def _opened(self) -> OpenServer:
        return self._state.open()

    @property
    def _server(self) -> ServerProcess | ForeignServer:
        server = self._opened.server
        assert server is not None  # the fixture has seen to it
        return server

    @property
    def ours(self) -> bool:
        """True when it was started here, so that it can be stopped, killed and restarted."""
        return isinstance(self._server, ServerProcess)

    @property
    def pid(self) -> int:
        """The server's first process; after its end, the pid it had."""
        return self._server.pid

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self._server.alive

    @property
    def exit_status(self) -> str | None:
        """How it ended, such as "exited with code 1"; None while it runs."""
        return self._server.exit_status

    @property
    def log(self) -> Path | None:
        """The file that has what it wrote, when it was started here."""
        return self._server.log

    def log_tail(self, lines: int = 20) -> str:
        """The last lines it wrote."""
        return self._server.log_tail(lines)

    def stacks(self) -> str:
        """Stacks of its Python processes.

        Raises:
            MissingExtra: py-spy is not installed.
        """
        return self._server.stacks()

    def stop(self) -> None:
        """End its whole process tree, and wait until it is gone.

        Raises:
            SetupError: it was not started here.
        """
        self._server.stop()

    def restart(self, within: float | str = "60s") -> Recovery:
        """Stop it, start the same command on the same port again, and wait until it answers as before.

        Args:
            within: how long to wait for that, from the moment it is told to stop.

        Raises:
            SetupError: it was not started here, or `within` is no duration.
        """
        within_ns = _within(within)
        server = self._own("restarted")
        if server.alive:
            self._before, self._ended = before_of(self._opened.endpoint), None
        return self._start_again(server, within_ns)

    def kill(self) -> None:
        """End the process that listens at its port with SIGKILL, as a crash would; `recovers` tells the rest.

        The test is not blamed for it.

        Raises:
            SetupError: it was not started here.
        """
        server = self._own("killed")
        if not server.alive:
            return
        self._before = before_of(self._opened.endpoint)
        self._liveness.expect_end()
        pid = self._opened.listener.pid() or server.pid
        self._ended = self._state.current, time.monotonic_ns()
        if pid == server.pid:
            server.expect_end()
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _END_LIMIT_S
        while time.monotonic() < deadline and not _gone(pid, server):
            time.sleep(0.01)

    def recovers(self, within: float | str = "30s") -> Recovery:
        """Fail the test unless the server comes back in time and answers as before.

        One that runs is restarted. One that has ended is waited for where something starts it again, and
        else started again.

        Args:
            within: from its end on; of one that this starts again, or that ended by itself, from now on.

        Raises:
            SetupError: it runs, and was not started here; or `within` is no duration.
        """
        within_ns, server = _within(within), self._server
        if self._end_ns is None and server.alive:
            recovery = self.restart(within)
        elif isinstance(server, ServerProcess) and not server.alive:
            recovery = self._start_again(server, within_ns)
        else:
            recovery = self._wait(within_ns)
        if not recovery.right:
            pytest.fail(recovery.what, pytrace=False)
        return recovery

    @property
    def _liveness(self) -> Liveness:
        test = self._state.current
        assert test is not None
        return test.vigil.liveness

    def _own(self, done: str) -> ServerProcess:
        server = self._server
        if isinstance(server, ForeignServer):
            raise SetupError(server.not_ours(done))
        return server

    def _start_again(self, server: ServerProcess, within_ns: int) -> Recovery:
        self._liveness.expect_end()
        now_ns = time.monotonic_ns()
        start_ns = None if server.alive else now_ns
        end_ns = self._end_ns or now_ns
        try:
            server.restart()
        except LlmServeError as error:
            pytest.fail(f"the server could not be started again: {error}", pytrace=False)
        self._ended = self._state.current, end_ns
        return self._wait(within_ns, server, start_ns)

    def _wait(
        self, within_ns: int, server: ServerProcess | None = None, start_ns: int | None = None
    ) -> Recovery:
        """Wait for the new server; connections to the old one must not stand in its way."""
        endpoint = self._opened.endpoint
        endpoint.close()
        end_ns, before = self._end_ns or time.monotonic_ns(), self._before or Before()
        ended = (lambda: None) if server is None else (lambda: server.death)
        try:
            recovery = wait_recovered(endpoint, before, end_ns, within_ns, ended, start_ns)
            self._keep(end_ns, recovery)
            return recovery
        finally:
            self._ended = None
            self.watch_anew()

    def _keep(self, end_ns: int, recovery: Recovery) -> None:
        """For the report."""
        test = self._state.current
        if test is not None:
            outage = Outage(
                began_ns=end_ns,
                ended_ns=time.monotonic_ns(),
                down_ms=recovery.down_ms,
                answers_ms=recovery.answers_ms,
                right=recovery.right,
            )
            test.vigil.outages.append(outage)

    def watch_anew(self) -> None:
        """What came back is another process: it is the one that has to live, and is watched, from now on."""
        opened = self._state.renewed()
        self._liveness.renew(opened)
        test = self._state.current
        if test is not None and test.watch is not None and opened is not None:
            test.watch.renew(opened.watched)

    def __repr__(self) -> str:
        return repr(self._server)


def _gone(pid: int, server: ServerProcess) -> bool:
    """A process has ended, and where it was the server's first, that is known too."""
    return start_mark(pid) is None and (pid != server.pid or not server.alive)


def _within(within: float | str) -> int:
    try:
        return duration_ns(within)
    except ValueError as error:
        raise SetupError(f"within: {error}") from None

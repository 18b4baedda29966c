"""What lives as long as the session: the server, its folder, and the test that runs now."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_llmserve.domain.errors import LlmServeError
from pytest_llmserve.measure.contained import in_container
from pytest_llmserve.measure.opening import OpenServer, ServerWish, open_server
from pytest_llmserve.measure.serving import Values, key_of
from pytest_llmserve.plugin.explaining import tell_opened
from pytest_llmserve.plugin.given import values_of, variant_of
from pytest_llmserve.plugin.keys import STATE
from pytest_llmserve.plugin.progress import Terminal, terminal_of
from pytest_llmserve.plugin.settings import progress_every_ns, server_wish
from pytest_llmserve.plugin.testrun import TestRun


def state_of(config: pytest.Config) -> State:
    """The session's state, made when first asked for."""
    if STATE not in config.stash:
        config.stash[STATE] = State(config)
    return config.stash[STATE]


class State:
    """Mutable; one a process. Under xdist all workers share the controller's folder.

    Attributes:
        folder: private to the session; removed at its end by the one that made it.
        current: the test that runs now.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        shared = getattr(config, "workerinput", {}).get("llmserve_folder")
        self._owns_folder = shared is None
        self.folder = Path(shared or tempfile.mkdtemp(prefix="pytest-llmserve-"))
        self.current: TestRun | None = None
        self._open: OpenServer | None = None
        self._failures: dict[str, str] = {}
        self._values: Values = {}
        self._open_with = ""
        self._port: int | None = None
        self._followers: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        self._terminal: Terminal | None = None
        self._attempts: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def open(self) -> OpenServer:
        """The server that the test wants, started or found when first asked for.

        One with other values is ended before. Fails the test with what was seen and what to do; asked
        again, it says the same at once.
        """
        with self._lock:
            if not self._is_wanted():
                self._change()
        opened = self.opened
        if opened is None:
            given_up = "the server has been given up"
            pytest.fail(self._failures.get(key_of(self._values), given_up), pytrace=False)
        return opened

    def open_quietly(self) -> None:
        """Do as `open`; what it says is said where the server is used.

        pytest would keep it for all tests after, were it raised in a fixture of the session.
        """
        with suppress(pytest.fail.Exception):
            self.open()

    def _is_wanted(self) -> bool:
        return self._open is not None and self._open_with == key_of(self._values)

    def _change(self) -> None:
        """From the server that is there to the one that is wanted; the old one's end comes first."""
        key = key_of(self._values)
        if key in self._failures:
            return
        opened, self._open = self._open, None
        try:
            if opened is not None:
                self._port = opened.endpoint.target.port
                opened.close()
            wish = self._wish()
            self._open = in_container(open_server(wish, self.folder), wish.container)
            self._open_with = key
            tell_opened(self.config, self._open)
        except LlmServeError as error:
            self._failures[key] = str(error)

    def _wish(self) -> ServerWish:
        terminal = self.terminal()
        tell = None if terminal is None else terminal.tell
        every_ns = progress_every_ns(self.config)
        wish = replace(server_wish(self.config), tell=tell, tell_every_ns=every_ns)
        return replace(wish, values=self._values, port=self._port)

    def follow(self, forget: Callable[[], object]) -> None:
        """`forget` is called when another server than before is wanted."""
        self._followers.append(forget)

    @property
    def opened(self) -> OpenServer | None:
        """The server that the test wants, if it has been asked for."""
        return self._open if self._is_wanted() else None

    def renewed(self) -> OpenServer | None:
        """The same; one that came back is watched as the process it is now."""
        with self._lock:
            if self._open is None or not self._is_wanted():
                return None
            self._open = self._open.renewed()
            return self._open

    def terminal(self) -> Terminal | None:
        """Where progress is shown, or None where it is not."""
        if self._terminal is None:
            self._terminal = terminal_of(self.config)
        return self._terminal

    def run_folder(self) -> Path:
        """A new folder for one run."""
        return Path(tempfile.mkdtemp(prefix=f"run-{next(self._numbers)}-", dir=self.folder))

    def begin_test(self, item: pytest.Item) -> None:
        """A test, or another attempt at it, begins."""
        attempt = self._attempts.get(item.nodeid, 0) + 1
        self._attempts[item.nodeid] = attempt
        self._want(values_of(self.config, item))
        self.current = TestRun(self, item, attempt)
        self.current.noted |= variant_of(self.config, item)

    def _want(self, values: Values) -> None:
        before, self._values = self._values, values
        for forget in self._followers if key_of(values) != key_of(before) else ():
            forget()

    def test_of(self, item: pytest.Item) -> TestRun | None:
        """The record of this test, if it is the one that runs."""
        current = self.current
        return current if current is not None and current.item is item else None

    @contextmanager
    def turn(self, alone: bool) -> Iterator[None]:
        """Hold the server beside others, or alone, among the workers that share the folder."""
        import fcntl

        with (self.folder / "turn.lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield

    def close_server(self) -> None:
        """Give the server up."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    def close(self) -> None:
        """Give the server up; remove the folder if it is ours."""
        self.close_server()
        if self._owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

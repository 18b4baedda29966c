"""A server at rest: what it has open when nobody asks, and whether its process is the one it was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pytest_llmserve.domain.disconnects import Look, Together
from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.measure.opening import OpenServer
from pytest_llmserve.observe.metrics import NOT_INSTALLED, MetricsPages, is_installed
from pytest_llmserve.observe.metrics_page import address_of
from pytest_llmserve.observe.process_tree import ProcessTree
from pytest_llmserve.serve.endpoint import Endpoint

_FILES_S, _FILES_PAUSE_S = 0.5, 0.02
_EXIT_NEWS_S, _EXIT_LOOK_S = 2.0, 0.02


class AtRest:
    """Reads the server's process and its metrics when told to, not by the sampler's clock."""

    def __init__(self, opened: OpenServer) -> None:
        self._opened = opened
        self._listened = opened.listener.pid() if opened.server is not None else None
        self._pages: MetricsPages | None = None
        self._unseen: list[str] = []
        missing = opened.metrics_missing
        if opened.metrics_urls and not is_installed():
            missing = NOT_INSTALLED
        if missing is None:
            target = opened.endpoint.target
            self._pages = MetricsPages([address_of(url, target) for url in opened.metrics_urls])
        else:
            self._unseen.append(f"requests that run and wait: {missing}")
        self._tree: ProcessTree | None = None
        try:
            self._tree = None if opened.pid is None else ProcessTree(opened.pid)
            why = opened.why
        except ProbeLost as lost:
            why = str(lost)
        if self._tree is None:
            self._unseen.append(f"open files, and whether it is the same process: {why}")

    def gone(self) -> str | None:
        """How the server's process ended, or None."""
        server, listener = self._opened.server, self._opened.listener
        if server is None:
            return None
        listened_ended = self._listened is not None and listener.ended
        if listened_ended and self._listened == server.pid:  # its guard writes how it ended a moment later
            deadline = time.monotonic() + _EXIT_NEWS_S
            while server.exit_status is None and time.monotonic() < deadline:
                time.sleep(_EXIT_LOOK_S)
        if server.exit_status is not None:
            return self._opened.endpoint.cleaned(f"{server.exit_status}{server.last_lines}")
        if listened_ended:
            return f"pid {self._listened}, which listened at its port, is gone"
        return None

    def look(self, asked: Sequence[Together], endpoint: Endpoint, enough: int | None) -> Look:
        """What is open now that nobody asks.

        Args:
            asked: what was asked before.
            endpoint: through which; its connections are closed, as they are files of the server's.
            enough: open files that need not become fewer; None = the fewest over half a second are wanted.
        """
        endpoint.close()
        gone = self.gone()
        if gone is not None:
            return Look(together=tuple(asked), gone=gone, unseen=tuple(self._unseen))
        files = self._open_files(enough)
        if self._tree is None and enough is None:
            time.sleep(_FILES_S)  # a server may tell what runs a moment later
        told: dict[str, Any] = {} if self._pages is None else self._pages.read(False)
        unseen = list(self._unseen)
        if self._pages is not None:
            unseen += [
                f"requests {name}: {self._pages.missing or 'the metrics of the server do not tell them'}"
                for name in ("running", "waiting")
                if name not in told
            ]
        if self._tree is not None and files is None:
            unseen.append("open files: the system does not tell them of this process")
        return Look(
            together=tuple(asked),
            running=told.get("running"),
            waiting=told.get("waiting"),
            open_files=files,
            unseen=tuple(unseen),
            gone=self.gone(),
        )

    def _open_files(self, enough: int | None) -> int | None:
        """The fewest seen; a server needs a moment to see that a connection was closed."""
        if self._tree is None:
            return None
        fewest: int | None = None
        deadline = time.monotonic() + _FILES_S
        while fewest is None or (time.monotonic() < deadline and (enough is None or fewest > enough)):
            try:
                count = self._tree.counts()["open_files"]
            except ProbeLost:  # it has ended: `gone` tells
                return fewest
            if count is None:
                return None
            fewest = count if fewest is None else min(fewest, count)
            time.sleep(_FILES_PAUSE_S)
        return fewest

"""The server's log through one attempt at a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_llmserve.checks import Check
from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.measure.opening import OpenServer
from pytest_llmserve.observe.log_patterns import log_rules
from pytest_llmserve.observe.server_log import LogFollower
from pytest_llmserve.reports.answers import deadline, without_answers
from pytest_llmserve.reports.log_text import log_document, log_lines

_MOST, _MOST_UNASKED = 10, 3


class TestLog:
    """Mutable; follows the log while the test's own code runs.

    Args:
        check: the `no_log_errors` of the test, or None: its lines are evidence all the same.
    """

    __test__ = False

    def __init__(self, check: Any) -> None:
        self._check: Check | None = check
        self._rules = log_rules() if check is None else log_rules(check.patterns, check.only, check.allow)
        self._follower: LogFollower | None = None
        self._started_ns = 0
        self._keep_text = False

    def start(self, opened: OpenServer | None, started_ns: int) -> None:
        """The test's own code begins."""
        self._started_ns = started_ns
        if opened is not None:
            self._keep_text = opened.endpoint.target.keep_text
            opened.endpoint.said.begin()
            self._follower = LogFollower(
                opened.logs, self._rules, opened.endpoint.redact, opened.endpoint.without_said
            )
            self._follower.start()

    def stop(self) -> None:
        """It is over. Again does nothing."""
        if self._follower is not None:
            self._follower.stop(settle=self._check is not None)

    def window(self) -> LogWindow:
        """What was found so far."""
        if self._follower is None:
            return LogWindow(missing="no fixture asked for the server")
        return self._follower.window()

    def told(self, runs: Sequence[LoadResult]) -> list[str]:
        """The error lines, for the text of a failure; few where no marker asks for them."""
        most = _MOST if self._check is not None else _MOST_UNASKED
        return log_lines(self.window(), runs, self._started_ns, most, self._keep_text)

    def bare(self, text: str | None, runs: Sequence[LoadResult]) -> str | None:
        """The end of the log of a server that ended, without the last answers where texts are not kept."""
        return text if text is None or self._keep_text else without_answers([text], runs, deadline())[0]

    def document(self, keep_text: bool) -> dict[str, Any]:
        """For the JSON report."""
        return log_document(self.window(), self._started_ns or None, keep_text)

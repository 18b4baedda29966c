"""The server under test, as a test has it in hand: an endpoint that knows which test asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llmserve.plugin.faces import current_test
from pytest_llmserve.serve.endpoint import Endpoint

if TYPE_CHECKING:
    from pytest_llmserve.plugin.state import State
    from pytest_llmserve.plugin.testrun import TestRun


class EndpointFace(Endpoint):
    """The session's endpoint: target, connections and numbers of requests are the same ones.

    Args:
        state: of the session.
    """

    def __init__(self, state: State) -> None:
        opened = state.open().endpoint
        super().__init__(opened.target, opened.because, wire=opened._wire)
        self._ids = opened._ids
        self._state = state

    @property
    def _test(self) -> TestRun:
        """The test that asks; outside of one it fails."""
        return current_test(self._state, "llm_endpoint")

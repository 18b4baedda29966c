"""The server under test, as a test has it in hand: an endpoint that knows which test asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_llmserve.domain.disconnects import PLACES
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import Prompt
from pytest_llmserve.domain.units import duration_ns
from pytest_llmserve.plugin.faces import current_test
from pytest_llmserve.serve.endpoint import Endpoint

if TYPE_CHECKING:
    from pytest_llmserve.domain.disconnects import Disconnects
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

    def recovers_from_disconnects(
        self,
        n: int = 20,
        *,
        within: float | str = "10s",
        where: str | Sequence[str] = tuple(PLACES),
        users: int = 4,
        prompt: Prompt | None = None,
        max_tokens: int | None = 128,
        **params: Any,
    ) -> Disconnects:
        """Let clients leave without a word, and see whether the server is soon as it was before.

        Before the first and after the last one it is asked short questions, one alone and up to `users` at
        once. True when these are answered as before and take no longer, no more requests run or wait and
        no more files are open than before, and its process is the same one.

        Args:
            n: clients altogether, dealt out over the places; every other one resets its connection.
            within: the server has so long for it.
            where: they leave: "before_first_token", "mid_stream", "mid_upload".
            users: clients at the same time; a lost slot shows when these are at least as many as it has.
            prompt: that they send, a mark that is different each time before it; by default one that
                asks for a long answer.
            max_tokens: of these answers, where the API is known to take it.
            params: further fields of these requests.

        Raises:
            SetupError: an argument is wrong, or nothing that was asked for can be tried with this API.
        """
        from pytest_llmserve.measure.disconnects import Leave, checked, disconnects

        test = self._test
        places = (where,) if isinstance(where, str) else tuple(where)
        wish = Leave(
            n,
            _limit_ns("recovers_from_disconnects: within", within),
            places,
            users,
            prompt,
            max_tokens,
            params,
        )
        found = disconnects(self._state.open(), checked(wish))
        test.noted.setdefault("disconnects", []).append(found.as_json())
        return found


def _limit_ns(name: str, value: object) -> int:
    try:
        return duration_ns(value)
    except ValueError as error:
        raise SetupError(f"{name}: {error}") from None

"""The server under test, as a test has it in hand: an endpoint that knows which test asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_llmserve.domain.disconnects import PLACES
from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.exchange import HttpRequest, Prompt
from pytest_llmserve.domain.survival import Survival
from pytest_llmserve.domain.units import BYTES_PER_MB, duration_ns
from pytest_llmserve.plugin.faces import current_test
from pytest_llmserve.serve.endpoint import Endpoint, limit_s

if TYPE_CHECKING:
    from pytest_llmserve.domain.disconnects import Disconnects, Visit
    from pytest_llmserve.plugin.state import State
    from pytest_llmserve.plugin.survivals import Survivals
    from pytest_llmserve.plugin.testrun import TestRun

_NOT_GIVEN: Any = object()
"""Stands for a body that was not given: None is one, JSON's null."""


_OF_SERVER = ("target", "because", "story", "_dialect", "_wire", "_ids", "_keys", "said", "_probed")


class EndpointFace(Endpoint):
    """The session's endpoint: target, connections and numbers of requests are those of the server in use.

    Args:
        state: of the session.
    """

    def __init__(self, state: State) -> None:  # what else an endpoint has is the server's: `__getattr__`
        self._state = state
        self._survivals: Survivals | None = None

    def __getattr__(self, name: str) -> Any:
        """What is not known yet of the server that the test asks for: it is started, and asked."""
        if name not in _OF_SERVER:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        opened = self._state.open().endpoint
        self.__dict__.update({own: getattr(opened, own) for own in _OF_SERVER})
        return self.__dict__[name]

    def forget(self) -> None:
        """Another server is wanted: what is known of the last one holds no more."""
        for own in _OF_SERVER:
            self.__dict__.pop(own, None)
        self._survivals = None

    @property
    def _test(self) -> TestRun:
        """The test that asks; outside of one it fails."""
        return current_test(self._state, "llm_endpoint")

    def survives(
        self,
        body: Any = _NOT_GIVEN,
        *,
        prompt: Any = None,
        path: str | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | str = "30s",
        memory_mb: float = 256,
        neighbours: bool = True,
        probe: bool = True,
        restart: bool = True,
        **params: Any,
    ) -> Survival:
        """Send a hostile input, and look whether the server comes through it unharmed.

        It has to answer in time, with a whole and readable 2xx or a clean 4xx in JSON that shows nothing of
        its inside; and afterwards be the same process, without a jump in memory, answer a fixed question as
        before, and have answered those who asked meanwhile.

        Args:
            body: as of `send`.
            prompt: in place of a body: encoded as `generate` does, with `params` in the request's body.
            path: by default that of the API.
            headers: win over the target's.
            timeout: for its answer, and for each question beside it and after it.
            memory_mb: what the server's memory may rise by, beyond what the input itself weighs.
            neighbours: ask short questions meanwhile, a few a second, and see that they are answered.
            probe: ask the fixed question afterwards.
            restart: start a server of ours again where the input has ended it or harmed it for good.
            params: with `prompt`.

        Returns:
            What was seen; true where it did no harm.

        Raises:
            SetupError: an argument is wrong, or the input cannot be sent as HTTP.
            ServerGone: an earlier input has ended the server, and it was not started again.
        """
        __tracebackhide__ = True
        from pytest_llmserve.measure.survival import Case
        from pytest_llmserve.plugin.survivals import Survivals

        _ = self._test  # outside of a test nothing is looked at
        case = Case(
            request=self._hostile(body, prompt, params, path, headers),
            timeout_s=limit_s(timeout, "survives: timeout"),
            memory_bytes=_bytes(memory_mb),
            neighbours=neighbours,
            probe=probe,
            asked=prompt is not None and path is None and _wants_an_answer(params),
        )
        if self._survivals is None:
            self._survivals = Survivals(self._state, self)
        return self._survivals.put(case, restart)

    def assert_survives(self, body: Any = _NOT_GIVEN, **keywords: Any) -> Survival:
        """Do as `survives`; unless it does raise AssertionError: the sentence first, then the evidence."""
        __tracebackhide__ = True
        survival = self.survives(body, **keywords)
        if not survival:
            raise AssertionError("\n".join(survival.lines))
        return survival

    async def asurvives(self, body: Any = _NOT_GIVEN, **keywords: Any) -> Survival:
        """Do as `survives`, from async code."""
        return await asyncio.to_thread(self.survives, body, **keywords)

    async def aassert_survives(self, body: Any = _NOT_GIVEN, **keywords: Any) -> Survival:
        """Do as `assert_survives`, from async code."""
        return await asyncio.to_thread(self.assert_survives, body, **keywords)

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
        from pytest_llmserve.domain.disconnects_judged import interrupted_of
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
        visits: list[Visit] = []
        try:
            found = disconnects(self._state.open(), checked(wish), visits)
        except KeyboardInterrupt:
            test.noted.setdefault("disconnects", []).append(interrupted_of(n, visits).as_json())
            raise
        test.noted.setdefault("disconnects", []).append(found.as_json())
        return found

    def _hostile(
        self,
        body: Any,
        prompt: Any,
        params: dict[str, Any],
        path: str | None,
        headers: dict[str, str] | None,
    ) -> HttpRequest:
        if (body is _NOT_GIVEN) == (prompt is None):
            raise SetupError("survives: give either a body, as to send(), or prompt=, as to generate()")
        if body is not _NOT_GIVEN:
            if params:
                raise SetupError(
                    f"survives: {', '.join(params)} cannot be put into a body that is sent as it is:"
                    " write them into it, or give prompt="
                )
            return self.request(body, path=path, headers=headers)
        request = self.encoded(prompt, params)
        return HttpRequest(
            method=request.method,
            path=path or request.path,
            body=request.body,
            headers=(*request.headers, *(headers or {}).items()),
        )


def _wants_an_answer(params: dict[str, Any]) -> bool:
    """Not of a question for no answers at all: n=0."""
    return bool(params.get("n", 1) != 0)


def _bytes(memory_mb: float) -> int:
    if isinstance(memory_mb, bool) or not isinstance(memory_mb, (int, float)) or memory_mb < 0:
        raise SetupError(f"survives: memory_mb: {memory_mb!r} is no size: give megabytes, such as 256")
    return round(memory_mb * BYTES_PER_MB)


def _limit_ns(name: str, value: object) -> int:
    try:
        return duration_ns(value)
    except ValueError as error:
        raise SetupError(f"{name}: {error}") from None

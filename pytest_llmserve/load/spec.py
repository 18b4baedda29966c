"""The `load` marker, and the arguments of `llm_load(...)`: the same keywords."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_llmserve.domain.keywords import count, flag, keyword, whole
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.units import NS_PER_S, duration_ns


def _pause(value: object) -> tuple[int, int]:
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f'{value!r} is not a pair: write ("1s", "3s")')
        least, most = duration_ns(value[0]), duration_ns(value[1])
        if least > most:
            raise ValueError(f"{value!r} begins with the longer pause")
        return least, most
    pause = duration_ns(value)
    return pause, pause


def _limit(value: object) -> int:
    limit = duration_ns(value)
    if limit == 0:
        raise ValueError("0 leaves no time to answer")
    return limit


def _params(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(f'{value!r} is not a dict of request fields such as {{"temperature": 0}}')
    return dict(value)


@dataclass(frozen=True, kw_only=True)
class LoadSpec:
    """A load on the server: users that each wait for their answer before they ask again.

    Durations are "60s", "5m", "1500ms" or seconds.
    """

    users: int = keyword(count, 1, doc="users at the same time")
    requests: int | None = keyword(whole, doc="measured requests over all users")
    duration: int | None = keyword(duration_ns, doc="length of the measured part")
    ramp_up: int = keyword(duration_ns, 0, doc="users start spread over this time")
    warm_up: int = keyword(duration_ns, 0, doc="time at the beginning that no figure counts")
    think_time: tuple[int, int] = keyword(_pause, (0, 0), doc="pause of a user, or a pair (least, most)")
    timeout: int = keyword(_limit, 120 * NS_PER_S, doc="limit of one request")
    connect_timeout: int = keyword(_limit, 10 * NS_PER_S, doc="limit of opening a connection")
    first_byte_timeout: int | None = keyword(_limit, doc="limit from the send to the first byte of an answer")
    idle_timeout: int | None = keyword(_limit, doc="limit of a silence in the middle of an answer")
    seed: int | None = keyword(whole, doc="order of prompts and pauses")
    nonce: bool = keyword(flag, True, doc="begin each prompt with a mark of its own")
    stream: bool = keyword(flag, True, doc="ask for streamed answers where the server can")
    max_tokens: int | None = keyword(count, doc="tokens a request may generate")
    params: Mapping[str, Any] | None = keyword(_params, doc="further fields of the request")

    def __post_init__(self) -> None:
        if self.requests is None and self.duration is None:
            raise ValueError('needs an end: requests=300, or duration="60s", or both')

    def plan(
        self, *, scale: float = 1.0, workers: int = 1, retries: int = 0, transport: str = "sockets"
    ) -> LoadPlan:
        """The plan of one run.

        Args:
            scale: multiplies durations and the number of requests (at least one stays).
            workers: processes that send.
            retries: how often a failed request is sent again.
            transport: what carries the requests.
        """
        requests = self.requests
        if requests:
            requests = max(1, round(requests * scale))
        params = dict(self.params or {})
        if self.max_tokens is not None:
            params.setdefault("max_tokens", self.max_tokens)
        return LoadPlan(
            users=self.users,
            requests=requests,
            duration_ns=None if self.duration is None else round(self.duration * scale),
            ramp_up_ns=round(self.ramp_up * scale),
            warm_up_ns=round(self.warm_up * scale),
            think_time_ns=self.think_time,
            timeout_ns=self.timeout,
            connect_timeout_ns=self.connect_timeout,
            first_byte_timeout_ns=self.first_byte_timeout,
            idle_timeout_ns=self.idle_timeout,
            seed=secrets.randbelow(1 << 31) if self.seed is None else self.seed,
            salt=secrets.token_hex(4) if self.nonce else None,
            stream=self.stream,
            retries=retries,
            params=params,
            workers=workers,
            transport=transport,
        )

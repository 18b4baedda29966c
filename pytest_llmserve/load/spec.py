"""The `load` marker, and the arguments of `llm_load(...)`: the same keywords."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pytest_llmserve.domain.keywords import count, flag, keyword, positive, whole
from pytest_llmserve.domain.plan import ARRIVALS, DECIDED, MOST_CONNECTIONS, POISSON, LoadPlan, Stage
from pytest_llmserve.domain.units import NS_PER_S, duration_ns
from pytest_llmserve.load.stage_list import rate_stages, user_stages


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


def _until(value: object) -> str:
    if value != DECIDED:
        raise ValueError(f'{value!r} is not known: write until="{DECIDED}"')
    return DECIDED


def _most(value: object) -> int:
    most = duration_ns(value)
    if most == 0:
        raise ValueError("0 leaves no time to decide")
    return most


def _params(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(f'{value!r} is not a dict of request fields such as {{"temperature": 0}}')
    return dict(value)


def _arrival(value: object) -> str:
    if value not in ARRIVALS:
        raise ValueError(f"{value!r} is not known: write {' or '.join(map(repr, ARRIVALS))}")
    return str(value)


def _file(value: object) -> str:
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError(f"{value!r} is not the path of a file")
    return str(value)


_SHAPES = ("users", "rate", "stages", "rate_stages", "trace")
_RATED = "rate=, rate_stages= and trace="
_MOST_NS = 600 * NS_PER_S

# keyword: (the shapes it belongs to, what to say when it stands beside another)
_BELONGS: dict[str, tuple[tuple[str, ...], str]] = {
    "duration": (
        ("users", "rate", "trace"),
        "duration= is for users=, rate= and trace=: stages have lengths of their own",
    ),
    "requests": (
        ("users", "rate", "trace"),
        "requests= is for users=, rate= and trace=: stages have lengths of their own",
    ),
    "until": (
        ("users", "rate"),
        "until= is for users= and rate=: stages and a trace have an end of their own",
    ),
    "max_duration": (("users", "rate"), 'max_duration= is for users= and rate= with until="decided"'),
    "ramp_up": (("users",), 'ramp_up= is for users=: write a stage that climbs, ((1, 20), "1m")'),
    "think_time": (("users", "stages"), "think_time= is for users= and stages=: a schedule does not wait"),
    "arrival": (("rate", "rate_stages"), "arrival= is for rate= and rate_stages="),
    "speed": (("trace",), "speed= is for trace="),
    "max_concurrency": (
        ("rate", "rate_stages", "trace"),
        f"max_concurrency= is for {_RATED}: users have one connection each",
    ),
}

# The two ways to give a load its end.
_FIXED_ENDS = ("requests", "duration")
_OPEN_ENDS = ("until", "max_duration")


@dataclass(frozen=True, kw_only=True)
class LoadSpec:
    """A load on the server: users that wait for their answers, or requests by a schedule.

    Durations are "60s", "5m", "1500ms" or seconds.
    """

    users: int | None = keyword(count, doc="users at the same time; 1 by default")
    rate: float | None = keyword(positive, doc="requests per second, whatever the server does")
    arrival: str | None = keyword(_arrival, doc='"poisson" (the default) or "constant"')
    stages: tuple[Stage, ...] | None = keyword(user_stages, doc="users one after the other: (users, length)")
    rate_stages: tuple[Stage, ...] | None = keyword(rate_stages, doc="the same in requests per second")
    trace: str | None = keyword(_file, doc="recorded requests to replay, a .jsonl file")
    speed: float | None = keyword(positive, doc="how much faster than recorded; 1 by default")
    max_concurrency: int | None = keyword(count, doc="most requests under way by a schedule")
    requests: int | None = keyword(whole, doc="measured requests over all users")
    duration: int | None = keyword(duration_ns, doc="length of the measured part")
    until: str | None = keyword(_until, doc='"decided": until every limit is shown to be kept or broken')
    max_duration: int | None = keyword(_most, doc='with until=: its longest; "10m" by default')
    ramp_up: int = keyword(duration_ns, 0, doc="users start spread over this time")
    warm_up: int = keyword(duration_ns, 0, doc="time at the beginning that no figure counts")
    think_time: tuple[int, int] = keyword(_pause, (0, 0), doc="pause of a user, or a pair (least, most)")
    timeout: int = keyword(_limit, 120 * NS_PER_S, doc="limit of one request")
    connect_timeout: int = keyword(_limit, 10 * NS_PER_S, doc="limit of opening a connection")
    first_byte_timeout: int | None = keyword(_limit, doc="limit from the send to the first byte of an answer")
    idle_timeout: int | None = keyword(_limit, doc="limit of a silence in the middle of an answer")
    seed: int | None = keyword(whole, doc="order of prompts, pauses and arrivals")
    nonce: bool = keyword(flag, True, doc="begin each prompt with a mark of its own")
    stream: bool = keyword(flag, True, doc="ask for streamed answers where the server can")
    max_tokens: int | None = keyword(count, doc="tokens a request may generate")
    params: Mapping[str, Any] | None = keyword(_params, doc="further fields of the request")

    def __post_init__(self) -> None:
        given = [name for name in _SHAPES if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give {' or '.join(f'{name}=' for name in given)}, not {_both(given)}")
        shape = given[0] if given else "users"
        faults = [said for name, (of, said) in _BELONGS.items() if shape not in of and self._says(name)]
        if shape in {"users", "rate"}:
            faults += self._faults_of_the_end()
        if faults:
            raise ValueError("; ".join(faults))

    def _faults_of_the_end(self) -> list[str]:
        if self.until is not None:
            return [] if self.duration is None else ['until="decided" has no duration=: give max_duration=']
        if self.max_duration is not None:
            return ['max_duration= is for until="decided": give duration=, or until= too']
        if self.requests is None and self.duration is None:
            return ['needs an end: requests=300, duration="60s" or both, or until="decided"']
        return []

    def _says(self, name: str) -> bool:
        return getattr(self, name) not in {None, 0, (0, 0)}

    def plan(
        self,
        *,
        scale: float = 1.0,
        workers: int = 1,
        retries: int = 0,
        transport: str = "sockets",
        folder: Path | None = None,
    ) -> LoadPlan:
        """The plan of one run.

        Args:
            scale: multiplies durations and the number of requests (at least one stays).
            workers: processes that send.
            retries: how often a failed request is sent again.
            transport: what carries the requests.
            folder: where the path of a trace begins.
        """
        requests = self.requests
        if requests:
            requests = max(1, round(requests * scale))
        duration_ns = self.duration if self.until is None else self.max_duration or _MOST_NS
        params = dict(self.params or {})
        if self.max_tokens is not None:
            params.setdefault("max_tokens", self.max_tokens)
        plan = LoadPlan(
            users=self.users or 1,
            rate=self.rate,
            arrival=self.arrival or POISSON,
            stages=_scaled(self.stages, scale),
            rate_stages=_scaled(self.rate_stages, scale),
            trace=None if self.trace is None else str((folder or Path()) / self.trace),
            speed=self.speed or 1.0,
            max_concurrency=self.max_concurrency or MOST_CONNECTIONS,
            requests=requests,
            duration_ns=None if duration_ns is None else round(duration_ns * scale),
            until=self.until,
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
            scale=scale,
        )
        return msgspec.structs.replace(plan, users=plan.most_users)


def overridden(farther: Mapping[str, Any], closer: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of one level with those of a closer one over them.

    Where the closer one names a kind of load (`users`, `rate`, ...), the farther one's kind is
    gone, and with it what does not belong to the kind that is left. So is the farther one's end
    where the closer one's is of the other kind: so many requests, so long; or until decided.
    """
    if "until" in closer:
        farther = _without(_FIXED_ENDS, farther)
    elif not closer.keys().isdisjoint(_FIXED_ENDS):
        farther = _without(_OPEN_ENDS, farther)
    kinds = [name for name in _SHAPES if name in closer]
    if not kinds:
        return {**farther, **closer}
    belonging = {name for name, (of, _) in _BELONGS.items() if not set(of).isdisjoint(kinds)}
    return {**_without({*_SHAPES, *_BELONGS} - belonging, farther), **closer}


def _without(gone: Collection[str], keywords: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in keywords.items() if name not in gone}


def _both(given: list[str]) -> str:
    return "both" if len(given) == 2 else f"{len(given)} of them"


def _scaled(stages: tuple[Stage, ...] | None, scale: float) -> tuple[Stage, ...]:
    """Stages so many times as long, none of no length."""
    return tuple(Stage(s.begin, s.end, max(1, round(s.duration_ns * scale))) for s in stages or ())

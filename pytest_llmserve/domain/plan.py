"""The plan of one load run, decided before the first request is sent."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import Any

import msgspec

from pytest_llmserve.domain.units import NS_PER_S, duration_text

POISSON = "poisson"
CONSTANT = "constant"
ARRIVALS = (POISSON, CONSTANT)

COMPLETE = "complete"
"""Why a run ended that went as far as its plan."""
DECIDED = "decided"
"""Both the end that a load may be given, and why one ended that came to it."""

MOST_CONNECTIONS = 4096
_STAGES_TOLD = 4


class Stage(msgspec.Struct, frozen=True):
    """So many users, or requests a second, for a time; the level goes evenly from `begin` to `end`."""

    begin: float
    end: float
    duration_ns: int

    @property
    def level(self) -> str:
        """The level in words: "8" or "2 to 20"."""
        return f"{self.begin:g}" if self.begin == self.end else f"{self.begin:g} to {self.end:g}"


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a load is sent: by users that wait for answers (closed loop), or by a schedule (open loop).

    Closed loop: each of `users` sends its next request when the answer to its last has come;
    with `stages` their number changes. Open loop: `rate`, `rate_stages` or `trace` say when
    each request is due, whatever the server does.

    The measured part begins after `warm_up_ns` and ends after `requests` requests were
    started or `duration_ns` has passed, whichever is first; stages and a trace have an end of
    their own. With `until` it may end before. What is then under way may finish.

    Attributes:
        users: of a closed loop without stages.
        rate: requests a second.
        arrival: "poisson" (as independent people come) or "constant" (evenly spaced).
        stages: of users.
        rate_stages: of requests a second.
        trace: path of a recorded trace; `speed` times as fast as recorded.
        max_concurrency: most connections of an open loop; an arrival beyond is dropped.
        requests: measured requests over all users, or None for no bound.
        duration_ns: length of the measured part, or None for no bound.
        until: "decided": the load ends once every limit is shown to be kept or broken, and `requests`
            and `duration_ns` are the most it may take; None = it is as long as they say.
        ramp_up_ns: users start evenly spread over this time, from the first instant.
        think_time_ns: (least, most) pause of a user between answer and next request, uniform.
        timeout_ns: limit of one request, from send to the last byte.
        connect_timeout_ns: limit of opening a connection.
        first_byte_timeout_ns: limit from the send to the first byte of an answer, or None.
        idle_timeout_ns: limit of a silence in the middle of an answer, or None.
        seed: order of prompts, think times and arrivals.
        in_order: prompts are sent in the order in which they were given, over and over.
        salt: makes each prompt's nonce unlike any earlier run's; None sends prompts as they are.
        retries: how often a failed request is sent again.
        transport: what carries the requests, a name of `load.transports`.
        scale: what its durations and requests have been multiplied by; checks apply it to theirs.
        prompts_from: name of the file that the prompts came from, or None.
        prompt_count: how many there are, where their file is known.
    """

    users: int = 1
    rate: float | None = None
    arrival: str = POISSON
    stages: tuple[Stage, ...] = ()
    rate_stages: tuple[Stage, ...] = ()
    trace: str | None = None
    speed: float = 1.0
    max_concurrency: int = MOST_CONNECTIONS
    requests: int | None = None
    duration_ns: int | None = None
    until: str | None = None
    ramp_up_ns: int = 0
    warm_up_ns: int = 0
    think_time_ns: tuple[int, int] = (0, 0)
    timeout_ns: int = 120 * NS_PER_S
    connect_timeout_ns: int = 10 * NS_PER_S
    first_byte_timeout_ns: int | None = None
    idle_timeout_ns: int | None = None
    seed: int = 0
    in_order: bool = False
    salt: str | None = None
    stream: bool = True
    retries: int = 0
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    workers: int = 1
    transport: str = "sockets"
    scale: float = 1.0
    prompts_from: str | None = None
    prompt_count: int | None = None

    @property
    def is_open(self) -> bool:
        """Requests are due by a schedule, and latency counts from it."""
        return self.rate is not None or bool(self.rate_stages) or self.trace is not None

    @property
    def steps(self) -> tuple[Stage, ...]:
        """The stages, of users or of rates; empty without."""
        return self.stages or self.rate_stages

    @property
    def most_users(self) -> int:
        """Users of a closed loop at its fullest."""
        if not self.stages:
            return self.users
        return max(math.ceil(max(stage.begin, stage.end)) for stage in self.stages)

    @property
    def measured_ns(self) -> int | None:
        """Length of the measured part, or None when only the number of requests bounds it."""
        if self.steps:
            return sum(stage.duration_ns for stage in self.steps)
        return self.duration_ns

    @property
    def load_text(self) -> str:
        """What the load is, without its end: "20 users", "trace calls.jsonl"."""
        return self._shape()[0]

    def describe(self) -> str:
        """One line for people: "20 users, 60 s, warm-up 5 s"."""
        parts = [*self._shape(), *self._end()]
        for name, ns in (("ramp-up", self.ramp_up_ns), ("warm-up", self.warm_up_ns)):
            if ns:
                parts.append(f"{name} {duration_text(ns)}")
        if self.think_time_ns[1]:
            least, most = map(duration_text, self.think_time_ns)
            parts.append(f"think time {least}" if least == most else f"think time {least} to {most}")
        if not self.stream:
            parts.append("not streamed")
        if self.prompts_from is not None:
            plural = "" if self.prompt_count == 1 else "s"
            parts.append(f"{self.prompt_count} prompt{plural} of {self.prompts_from}")
        return ", ".join(parts)

    def _shape(self) -> list[str]:
        if self.trace is not None:
            speed = "" if self.speed == 1 else f" at speed {self.speed:g}"
            return [f"trace {PurePath(self.trace).name}{speed}"]
        arrival = f"{'Poisson' if self.arrival == POISSON else self.arrival} arrivals"
        if self.steps:
            return [self._stages_told(), *([arrival] if self.rate_stages else [])]
        if self.rate is not None:
            return [f"{self.rate:g} requests/s", arrival]
        return [f"{self.users} user{'s' if self.users != 1 else ''}"]

    def _end(self) -> list[str]:
        most = [] if self.requests is None else [f"{self.requests} requests"]
        if self.duration_ns is not None and not self.steps:
            most.append(duration_text(self.duration_ns))
        if self.until is None:
            return most
        return [f"until {self.until}", *([f"at most {' or '.join(most)}"] if most else [])]

    def _stages_told(self) -> str:
        unit = "requests/s" if self.rate_stages else "users"
        if len(self.steps) <= _STAGES_TOLD:
            told = [f"{stage.level} for {duration_text(stage.duration_ns)}" for stage in self.steps]
            return f"{unit} {', '.join(told)}"
        levels = [level for stage in self.steps for level in (stage.begin, stage.end)]
        span = f"{min(levels):g} to {max(levels):g} {unit}"
        return f"{len(self.steps)} stages of {span}, {duration_text(self.measured_ns or 0)}"

    @property
    def deadline_ns(self) -> int | None:
        """Latest end counted from the start, or None when only `requests` or a trace bounds the run."""
        if self.measured_ns is None:
            return None
        return self.warm_up_ns + self.measured_ns + self.timeout_ns + self.connect_timeout_ns

"""The plan of one load run, decided before the first request is sent."""

from __future__ import annotations

from typing import Any

import msgspec

from pytest_llmserve.domain.units import NS_PER_S, duration_text


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A closed loop: each user sends its next request when the answer to the last has come.

    The measured part begins after `warm_up_ns` and ends after `requests` requests were
    started or `duration_ns` has passed, whichever is first; what is then under way may finish.

    Attributes:
        requests: measured requests over all users, or None for no bound.
        duration_ns: length of the measured part, or None for no bound.
        ramp_up_ns: users start evenly spread over this time, from the first instant.
        think_time_ns: (least, most) pause of a user between answer and next request, uniform.
        timeout_ns: limit of one request, from send to the last byte.
        connect_timeout_ns: limit of opening a connection.
        first_byte_timeout_ns: limit from the send to the first byte of an answer, or None.
        idle_timeout_ns: limit of a silence in the middle of an answer, or None.
        seed: order of prompts and think times.
        salt: makes each prompt's nonce unlike any earlier run's; None sends prompts as they are.
        retries: how often a failed request is sent again.
        transport: what carries the requests, a name of `load.transports`.
    """

    users: int
    requests: int | None = None
    duration_ns: int | None = None
    ramp_up_ns: int = 0
    warm_up_ns: int = 0
    think_time_ns: tuple[int, int] = (0, 0)
    timeout_ns: int = 120 * NS_PER_S
    connect_timeout_ns: int = 10 * NS_PER_S
    first_byte_timeout_ns: int | None = None
    idle_timeout_ns: int | None = None
    seed: int = 0
    salt: str | None = None
    stream: bool = True
    retries: int = 0
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    workers: int = 1
    transport: str = "sockets"

    def describe(self) -> str:
        """One line for people: "20 users, 60 s, warm-up 5 s"."""
        parts = [f"{self.users} user{'s' if self.users != 1 else ''}"]
        if self.requests is not None:
            parts.append(f"{self.requests} requests")
        if self.duration_ns is not None:
            parts.append(duration_text(self.duration_ns))
        for name, ns in (("ramp-up", self.ramp_up_ns), ("warm-up", self.warm_up_ns)):
            if ns:
                parts.append(f"{name} {duration_text(ns)}")
        if self.think_time_ns[1]:
            least, most = map(duration_text, self.think_time_ns)
            parts.append(f"think time {least}" if least == most else f"think time {least} to {most}")
        if not self.stream:
            parts.append("not streamed")
        return ", ".join(parts)

    @property
    def deadline_ns(self) -> int | None:
        """Latest end counted from the start, or None when only `requests` bounds the run."""
        if self.duration_ns is None:
            return None
        return self.warm_up_ns + self.duration_ns + self.timeout_ns + self.connect_timeout_ns

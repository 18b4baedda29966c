"""What a planted fault may do. Each fault is a class in a file of its own, and a row of the table."""

from __future__ import annotations

import math
import os
import random
import sys
from dataclasses import dataclass, field
from typing import Any, NoReturn

CRASH_STATUS = 139
"""Exit status of a server that is made to crash: as a shell tells of a segmentation fault."""
FOR_EVER_MS = 1e9
"""Later than any client waits: eleven days."""
MOST_KB = 10**6
"""What a fault may keep at a time: a gigabyte."""


@dataclass
class Asked:
    """One request for an answer, as a fault sees it. Mutable: a fault may change what is answered.

    Attributes:
        number: 1 for the first request for an answer; probes such as /health are not counted.
        since_s: seconds since the server took its first connection.
        face: name of the API, a row of `FACES`.
        body: the parsed request, or None when it is no JSON object.
        raw: the request as it came.
        system: text of the system message, or "".
        prompt: text of the last message, or the prompt.
        stream: a streamed answer was asked for.
        active: requests that have come and are not over, those that wait and this one too.
        text: what will be answered; a fault may change it.
        status: other than 200: an error is answered, with `error` as its message.
        late_ms: the first token is late by so much, against the timing law.
        token_late_ms: and each further one.
    """

    number: int
    since_s: float
    face: str
    body: dict[str, Any] | None
    raw: bytes
    system: str
    prompt: str
    stream: bool
    active: int
    text: str = ""
    status: int = 200
    error: str = ""
    late_ms: float = 0.0
    token_late_ms: float = 0.0


@dataclass(frozen=True)
class Part:
    """A part of a streamed body: bytes, and when they are due after the request's slot was had.

    Attributes:
        tokens: that it carries.
    """

    due_ms: float
    data: bytes
    tokens: int = 0


@dataclass
class Stream:
    """A streamed answer, as a fault may change it.

    Attributes:
        parts: in the order in which they are sent. The list is read as it is sent: what is not yet due may
            still be exchanged.
        then: "end" as HTTP has it, "cut" (close before the body's end), "reset" or "hang".
        length: of the Content-Length header, where the body is to be sent with one; a wrong one is a fault.
    """

    parts: list[Part]
    then: str = "end"
    length: int | None = None


def within(default: float, least: float, most: float = math.inf) -> Any:
    """A field of a fault that is a number with bounds: those of the values that can be given for it."""
    return field(default=default, metadata={"least": least, "most": most})


@dataclass
class Fault:
    """Does nothing. A fault overrides what it needs; its fields are the keys of `--fault NAME:KEY=VALUE`.

    One object lives as long as the server, so it may keep what it has seen. Where a request names faults
    in its header `X-Simulator-Fault`, objects made of it live as long as that request.
    """

    seed: int = field(default=0, kw_only=True)

    def chance(self, number: int, share: float) -> bool:
        """True for this share of the requests; the same ones for the same seed."""
        return random.Random(f"{self.seed} {number}").random() < share

    def asked(self, asked: Asked) -> None:
        """A request came, before it waits for a slot: change its answer, keep memory, or end the process."""

    def streamed(self, asked: Asked, stream: Stream) -> None:
        """Change a streamed answer before it is sent."""

    def whole(self, asked: Asked, body: bytes) -> bytes:  # noqa: ARG002
        """Return the body of an unstreamed answer, changed or not."""
        return body

    def left(self, asked: Asked) -> bool:  # noqa: ARG002
        """A client left before the end of its answer; False keeps its slot for ever."""
        return True

    def deadlocks(self, active: int) -> bool:  # noqa: ARG002
        """True when with so many requests under way nothing goes on any more, for ever."""
        return False


def crash() -> NoReturn:
    """End the process at once, as a fault of memory does: nothing is said, no connection is closed well."""
    sys.stdout.flush()
    os._exit(CRASH_STATUS)

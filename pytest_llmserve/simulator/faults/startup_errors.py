"""Failures of the first seconds."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmserve.simulator.faults.fault import Asked, Fault, within


@dataclass
class StartupErrors(Fault):
    """Ready too early: for the first seconds some requests are answered by 503 "Loading model".

    Attributes:
        seconds: for so long since the first connection.
        share: of the requests that fail meanwhile. With 1 the server is merely late: who waits until it
            answers sees no failure.
        status: that they are answered by.
    """

    seconds: float = within(5.0, 0)
    share: float = within(0.3, 0, 1)
    status: int = within(503, 400, 599)

    def asked(self, asked: Asked) -> None:
        if asked.since_s < self.seconds and self.chance(asked.number, self.share):
            asked.status, asked.error = self.status, "Loading model"

"""Errors of two kinds: the user's and ours. The server's faults are data, never exceptions."""

from __future__ import annotations

from collections.abc import Sequence


class LlmServeError(Exception):
    """Base of every error this package raises on purpose."""


class SetupError(LlmServeError):
    """The user's fault: a wrong option, marker or argument. The text says what to write instead."""


class MarkerError(SetupError):
    """All faults of one marker at once.

    Attributes:
        faults: one sentence a fault.
    """

    def __init__(self, marker: str, faults: Sequence[str]) -> None:
        self.marker = marker
        self.faults = tuple(faults)
        super().__init__(f"{marker}: " + "; ".join(self.faults))


class ServerUnusable(LlmServeError):
    """The server under test cannot be reached, started or understood: what was seen, what to do."""


class GeneratorError(LlmServeError):
    """Our own fault: a load worker died, a shard is unreadable. The run is void, never smaller."""


class ProbeLost(LlmServeError):
    """Our own fault: a probe that was asked for could not read what it watches."""


class ServerGone(BaseException):
    """An earlier input has ended the server, or harmed it for good, and it was not started again.

    Not an `Exception`: what draws inputs, as hypothesis does, would take it for the fault of the input at
    hand, and search for a smaller one against a server that is not there.
    """


class LlmServeWarning(UserWarning):
    """A verdict that was not reached, or cannot be: the test passes all the same.

    Public as `pytest_llmserve.LlmServeWarning`, the name to write in a `filterwarnings`.
    """

    __module__ = "pytest_llmserve"


class MissingExtra(LlmServeError):
    """An optional package is not installed.

    Attributes:
        command: the exact command that installs it.
    """

    def __init__(self, what: str, command: str) -> None:
        self.command = command
        super().__init__(f"{what} is not installed. Install it with: {command}")

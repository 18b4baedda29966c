"""What every probe is to the sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

Readings = Mapping[str, Any]
"""Fields of a `ResourceSample` -> what was read; those that nobody tells are left out."""


class Probe(Protocol):
    """Tells some figures of the server's side.

    One that tells less than its source holds may also have `absent`: figure -> why it is not told.
    One whose `missing` says so when it is made is never read; of another it may come and go.
    """

    @property
    def source(self) -> str:
        """Of its figures, one of those in `domain.samples`."""

    @property
    def missing(self) -> str | None:
        """Why it tells nothing, or nothing more: "..., because ...", and what to do; or None.

        "" = it has nothing to tell, and nothing to say about that.
        """

    def read(self, full: bool) -> Readings:
        """Read once, in milliseconds; what waits longer belongs into a thread of its own.

        Args:
            full: the costly figures too.

        Raises:
            ProbeLost: there is nothing more to read; it is not asked again.
        """

    def close(self) -> None:
        """Let go of what it holds; calling it again does nothing."""


@runtime_checkable
class Hurried(Protocol):
    """A probe with a pace of its own, that can be told to read more often for a while."""

    def hurry(self, until_ns: int, period_ns: int) -> None:
        """Read at once, and until then so far apart, as far as that is not too dear.

        Args:
            until_ns: monotonic clock.
            period_ns: from the beginning of a reading to that of the next.
        """


class Silent:
    """Stands for what cannot be read, and says why.

    Args:
        source: of the figures.
        missing: why they are not told.
    """

    def __init__(self, source: str, missing: str) -> None:
        self.source = source
        self.missing = missing

    def read(self, full: bool) -> Readings:  # noqa: ARG002 - it is a probe
        """Nothing."""
        return {}

    def close(self) -> None:
        """Nothing is held."""

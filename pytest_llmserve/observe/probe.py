"""What every probe is to the sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Readings = Mapping[str, Any]
"""Fields of a `ResourceSample` -> what was read; those that nobody tells are left out."""


class Probe(Protocol):
    """Tells some figures of the server's side.

    One that tells less than its source holds may also have `absent`: figure -> why it is not told.
    """

    @property
    def source(self) -> str:
        """Of its figures, one of those in `domain.samples`."""

    @property
    def missing(self) -> str | None:
        """Why it tells nothing, or nothing more: "..., because ...", and what to do; or None."""

    def read(self, full: bool) -> Readings:
        """Read once, in milliseconds; what waits longer belongs into a thread of its own.

        Args:
            full: the costly figures too.

        Raises:
            ProbeLost: there is nothing more to read; it is not asked again.
        """

    def close(self) -> None:
        """Let go of what it holds; calling it again does nothing."""

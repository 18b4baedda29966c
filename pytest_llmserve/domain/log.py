"""What the server's log said during a test, and what could not be read of it and why."""

from __future__ import annotations

import msgspec


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that tells of an error.

    Attributes:
        at_ns: monotonic clock, when it was read; it was written between `since_ns` and then.
        since_ns: when the log was read before.
        text: without colours and secrets, cut where it is very long.
        pattern: name of what it matches, "out of memory".
    """

    at_ns: int
    since_ns: int
    text: str
    pattern: str


class LogWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The log through a test. No text is kept but that of the first lines of each pattern.

    Attributes:
        files: what was followed.
        lines: the first lines of each pattern, in the order in which they were read.
        counts: pattern -> all its lines.
        read: lines that were looked at.
        allowed: lines that would count, but for what the test allows.
        cut: lines so long that only their beginning was looked at.
        missing: why there is no log, or why not all of it was read; or None.
    """

    files: tuple[str, ...] = ()
    lines: tuple[LogLine, ...] = ()
    counts: dict[str, int] = {}
    read: int = 0
    allowed: int = 0
    cut: int = 0
    missing: str | None = None

    @property
    def errors(self) -> int:
        """All lines that tell of an error, those whose text was not kept too."""
        return sum(self.counts.values())

    @property
    def kinds(self) -> str:
        """Them by pattern: "out of memory 2, traceback 1"."""
        return ", ".join(f"{pattern} {count}" for pattern, count in self.counts.items())

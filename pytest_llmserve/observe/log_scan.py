"""Which lines of a log tell of an error. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from pytest_llmserve.observe.log_patterns import TRACEBACK, LogRules, match

_MOST_FRAMES = 400
_DIGITS = re.compile(r"\d")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?::|$)")
_OTHER = re.compile(r"(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b")


class Hit(NamedTuple):
    """A line that counts: the name of its pattern, all of the line, and where in it that is."""

    pattern: str
    line: str
    at: int = 0


class Scanner:
    """Looks at lines as they come. Mutable: the traceback whose exception has not come, and what it counts.

    A traceback counts as one line together with its exception, so that this is shown, and can be allowed.

    Attributes:
        allowed: lines that the rules allow.

    Args:
        rules: what counts.
    """

    def __init__(self, rules: LogRules) -> None:
        self.allowed = 0
        self._rules = rules
        self._traceback: _Traceback | None = None

    def scan(self, text: str) -> list[Hit]:
        """The lines of a text that count.

        Args:
            text: whole lines.
        """
        candidates = self._rules.candidates(text)
        if not candidates and self._traceback is None:
            return []
        hits: list[Hit] = []
        for line in text.split("\n"):
            if self._traceback is not None and line:
                hits += self._go_on(self._traceback, line)
            found = match(candidates, line)
            if found is None:
                continue
            pattern, at = found
            if pattern.name == TRACEBACK:
                hits += self.end()
                self._traceback = _Traceback(line, at)
            else:
                hits += self._counted(pattern.name, line, at)
        return hits

    def end(self) -> list[Hit]:
        """The traceback whose exception has not come: no more lines come."""
        traceback, self._traceback = self._traceback, None
        return [] if traceback is None else self._counted(TRACEBACK, traceback.line, traceback.at)

    def _go_on(self, traceback: _Traceback, line: str) -> list[Hit]:
        told = traceback.exception(line)
        if told is None and not traceback.is_over:
            return []
        self._traceback = None
        return self._counted(TRACEBACK, f"{traceback.line} \u2026 {told}" if told else traceback.line)

    def _counted(self, name: str, line: str, at: int = 0) -> list[Hit]:
        if self._rules.allows(line):
            self.allowed += 1
            return []
        return [Hit(name, line, at)]


class _Traceback:
    """One under way; its lines may have what the first one has before it: a time, a level, a rank."""

    def __init__(self, line: str, at: int) -> None:
        self.line, self.at = line, at
        self._prefix = _DIGITS.sub("0", line[:at])
        self._frames = 0

    @property
    def is_over(self) -> bool:
        """Its exception does not come."""
        return self._frames > _MOST_FRAMES

    def exception(self, line: str) -> str | None:
        """The exception, where this line has it."""
        self._frames += 1
        length = len(self._prefix)
        if _DIGITS.sub("0", line[:length]) != self._prefix:
            return None
        rest = line[length:]
        return rest if _EXCEPTION.match(rest) and not _OTHER.match(rest) else None

"""What ran short, said of a test that failed."""

from __future__ import annotations

from typing import Any

import msgspec


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the figures show to have run short.

    Attributes:
        what: in a word or two, such as "memory-bound".
        sentence: the figures it rests on, and what to try.
        figures: the same figures by name, for programs.
    """

    what: str
    sentence: str
    figures: dict[str, float | str] = {}

    def __str__(self) -> str:
        return f"{self.what}: {self.sentence}"

    def as_json(self) -> dict[str, Any]:
        """For the JSON report."""
        return {"what": self.what, "sentence": self.sentence, "figures": dict(self.figures)}

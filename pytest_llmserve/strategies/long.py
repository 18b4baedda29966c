"""Long values drawn as (unit, count) and shown as such: ``'a' * 4097`` instead of 4097 letters."""

from __future__ import annotations

from typing import Any


class LongText(str):
    """A text that shows itself as the parts it was made of, each a unit and how often it comes.

    >>> LongText(("[", 1000), ("]", 1000))
    '[' * 1000 + ']' * 1000
    """

    parts: tuple[tuple[str, int], ...]

    def __new__(cls, *parts: tuple[str, int]) -> LongText:
        """Write the parts out."""
        made = super().__new__(cls, "".join(unit * count for unit, count in parts))
        made.parts = parts
        return made

    def __repr__(self) -> str:
        return _spelled(self.parts) or "''"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.parts

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 - what hypothesis asks for
        printer.text(repr(self))


class LongBytes(bytes):
    """Bytes that show themselves as a `LongText` does."""

    parts: tuple[tuple[bytes, int], ...]

    def __new__(cls, *parts: tuple[bytes, int]) -> LongBytes:
        """Write the parts out."""
        made = super().__new__(cls, b"".join(unit * count for unit, count in parts))
        made.parts = parts
        return made

    def __repr__(self) -> str:
        return _spelled(self.parts) or "b''"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.parts

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 - what hypothesis asks for
        printer.text(repr(self))


def _spelled(parts: tuple[tuple[object, int], ...]) -> str:
    """The expression that gives the value again; parts that come no time are left out."""
    shown = [f"{unit!r}" if count == 1 else f"{unit!r} * {count}" for unit, count in parts if unit and count]
    return " + ".join(shown)

"""Which request runs out of time next. One entry a user, however long the run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Whose = TypeVar("Whose", bound=Hashable)


class Limits(Generic[Whose]):
    """Instants in the order they were set; each later one is due later, as all are set equally far ahead."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: OrderedDict[Whose, int] = OrderedDict()

    def set(self, whose: Whose, due_ns: int) -> None:
        """Set, or set anew."""
        self._due[whose] = due_ns
        self._due.move_to_end(whose)

    def drop(self, whose: Whose) -> None:
        """It is over in time."""
        self._due.pop(whose, None)

    def next_ns(self) -> int | None:
        """The instant due first."""
        return next(iter(self._due.values()), None)

    def first_ns(self) -> int | None:
        """The same, from another thread than the one that sets limits; None too when that was just at it."""
        try:
            return self.next_ns()
        except RuntimeError:  # changed between two steps of the iteration
            return None

    def take_due(self, now_ns: int) -> Iterator[Whose]:
        """Take out, one by one, what is due."""
        while self._due:
            whose, due_ns = next(iter(self._due.items()))
            if due_ns > now_ns:
                return
            del self._due[whose]
            yield whose

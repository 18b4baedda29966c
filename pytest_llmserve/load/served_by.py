"""Who of several answered a request, in a few words."""

from __future__ import annotations

from pytest_llmserve.domain.replicas import MOST_NAMES, OTHERS, replicas_of
from pytest_llmserve.domain.target import Target
from pytest_llmserve.load.http import Answer

_LONGEST = 60


class ServedBy:
    """Names whoever answered: the replica, and what the answer's header says. Mutable: names so far.

    Attributes:
        several: there is anything to tell.
    """

    def __init__(self, target: Target) -> None:
        self._names = [replica.name for replica in replicas_of(target)]
        self._header = target.replica_header
        self.several = len(self._names) > 1 or self._header is not None
        self._seen: set[str] = set()

    def label(self, replica: int, answer: Answer | None) -> str | None:
        """The name of who answered; None = it is not known.

        Args:
            replica: number of the one that was asked.
            answer: as far as it came, or None.
        """
        own = self._names[replica]
        said = None if self._header is None or answer is None else _said(answer, self._header)
        if said is not None and own is not None:
            return self._kept(f"{own} {said}")
        return own if said is None else self._kept(said)

    def _kept(self, name: str) -> str:
        if name not in self._seen:
            if len(self._seen) >= MOST_NAMES:
                return OTHERS
            self._seen.add(name)
        return name


def _said(answer: Answer, header: str) -> str | None:
    """What a header of the answer says, on a line of its own at the most; None for nothing."""
    values = (value for name, value in answer.headers if name == header)
    shown = "".join(mark for mark in next(values, "") if mark.isprintable()).strip()
    return shown[:_LONGEST] or None

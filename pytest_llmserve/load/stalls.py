"""Whether an answer is taking its time: limits on the first byte and on silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.units import NS_PER_MS, duration_text
from pytest_llmserve.load.http import Answer

_LONGEST_LOOK_NS = 250 * NS_PER_MS


Whose = TypeVar("Whose")
UnderWay = Callable[[], Iterable[tuple[Whose, int | None, Answer]]]


class StallWatch:
    """Looks now and then for answers that take their time; never, and at no cost, without such limits.

    Attributes:
        due_ns: when to look next, or None.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._every_ns = look_every_ns(plan)
        self.due_ns = None if self._every_ns is None else 0

    def look(self, now_ns: int, under_way: UnderWay[Whose]) -> list[tuple[Whose, str]]:
        """Whose answers are to be given up, and why.

        Args:
            now_ns: on the clock of the answers' stamps.
            under_way: gives whose request it is, when it was sent, and its answer so far.
        """
        if self._every_ns is None or self.due_ns is None or now_ns < self.due_ns:
            return []
        self.due_ns = now_ns + self._every_ns
        found = ((whose, stalled(self._plan, sent, answer, now_ns)) for whose, sent, answer in under_way())
        return [(whose, why) for whose, why in found if why is not None]


def look_every_ns(plan: LoadPlan) -> int | None:
    """How often to look for stalls, so that none is found more than a tenth late; None = never."""
    limits = [ns for ns in (plan.first_byte_timeout_ns, plan.idle_timeout_ns) if ns is not None]
    return min(_LONGEST_LOOK_NS, max(NS_PER_MS, min(limits) // 10)) if limits else None


def stalled(plan: LoadPlan, sent_ns: int | None, answer: Answer, now_ns: int) -> str | None:
    """Why an answer under way is given up, or None.

    Args:
        plan: with the limits.
        sent_ns: when the request was sent; None while it is being sent.
        answer: as far as it has come.
        now_ns: on the clock of its stamps.
    """
    first_ns, idle_ns = plan.first_byte_timeout_ns, plan.idle_timeout_ns
    if answer.first_byte_ns is None:
        if first_ns is not None and sent_ns is not None and now_ns - sent_ns > first_ns:
            return f"not a byte within {duration_text(first_ns)} of sending"
        return None
    last_ns = answer.stamps[-1] if answer.stamps else answer.first_byte_ns
    if idle_ns is not None and now_ns - last_ns > idle_ns:
        return f"nothing for {duration_text(idle_ns)}"
    return None

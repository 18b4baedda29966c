"""Whether an answer is taking its time: limits on the first byte and on silence."""

from __future__ import annotations

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.units import NS_PER_MS, duration_text
from pytest_llmserve.load.http import Answer

_LONGEST_LOOK_NS = 250 * NS_PER_MS


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

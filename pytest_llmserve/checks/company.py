"""Which requests had company: another one under way at the same time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_llmserve.domain.mix import Aborted
from pytest_llmserve.domain.result import LoadResult


def company(run: LoadResult, aborted: Sequence[Aborted] = ()) -> frozenset[int]:
    """Ids of the answered requests of a run that were under way together with another one.

    Args:
        run: its warm-up and its failed requests are company too.
        aborted: further company, which left no records.
    """
    spans: list[tuple[int, int, int | None]] = [(one.sent_ns, one.left_ns, None) for one in aborted]
    for record in run.everything:
        if record.sent_ns is not None and record.end_ns is not None:
            spans.append((record.sent_ns, record.end_ns, record.id if record.ok else None))
    spans.sort(key=lambda span: span[:2])
    found, latest_ns = set(), -math.inf
    for place, (sent_ns, end_ns, id_) in enumerate(spans):
        next_ns = spans[place + 1][0] if place + 1 < len(spans) else math.inf
        if id_ is not None and (sent_ns < latest_ns or next_ns < end_ns):
            found.add(id_)
        latest_ns = max(latest_ns, end_ns)
    return frozenset(found)

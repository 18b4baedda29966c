"""Requests that were under way together with another one."""

from __future__ import annotations

from pytest_llmserve.checks.company import company
from pytest_llmserve.domain.mix import Aborted

MS = 1_000_000


def test_requests_that_overlap_another_had_company(make):
    """Whatever became of the other: failed, or left by its client. Ends that touch are none."""
    spans = {0: (0, 10), 1: (10, 20), 2: (20, 60), 3: (30, 40), 5: (70, 80), 7: (100, 110)}
    records = [
        make.record(i, float(end - sent), sent_ns=sent * MS) for i, (sent, end) in spans.items() if i != 5
    ]
    failed = make.record(5, "http_5xx", sent_ns=55 * MS)
    assert company(make.run([*records, failed])) == {2, 3}
    left = Aborted(mark="0f3c9a21", sent_ns=105 * MS, left_ns=106 * MS)
    assert company(make.run(records), [left]) == {2, 3, 7}
    assert company(make.run([])) == frozenset()

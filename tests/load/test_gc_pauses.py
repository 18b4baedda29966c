"""Garbage collections are counted while a worker measures."""

from __future__ import annotations

import gc
import time

from pytest_llmserve.load.health import GcPauses


def test_a_collection_is_counted_and_timed():
    with GcPauses() as pauses:
        gc.collect()
        gc.collect()
    assert pauses.count == 2
    assert pauses.longest_ns > 0


def test_the_longest_is_kept(monkeypatch):
    clock = iter([0, 700, 1000, 1100])
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(clock))
    pauses = GcPauses()
    for phase in ("start", "stop") * 2:
        pauses._called(phase, {})
    assert (pauses.count, pauses.longest_ns) == (2, 700)


def test_nothing_is_counted_outside():
    with GcPauses() as pauses:
        pass
    gc.collect()
    assert pauses.count == 0
    assert pauses._called not in gc.callbacks

"""Faults that keep memory: how much, where, and for what."""

from __future__ import annotations

import psutil

MB = 1_000_000


def resident(process):
    return process.memory_info().rss


def test_each_request_leaves_memory_behind(faults):
    """As much as is said, and none of it zeros, which would not be resident."""
    fault = faults.make("leak", kb=1000)
    faults.hit(fault, 3, bool)
    assert [set(kept) for kept in fault._kept] == [{ord("x")}] * 3
    assert sum(map(len, fault._kept)) == 3 * MB


def test_only_new_prompts_leave_memory_behind(faults):
    fault = faults.make("leak_prompts", kb=1)
    for prompt in ("a", "b", "a"):
        fault.asked(faults.asked(prompt=prompt))
    assert {prompt: len(kept) for prompt, kept in fault._kept.items()} == {"a": 1000, "b": 1000}


def test_a_cache_with_a_bound_stops_growing(faults):
    """The oldest prompt goes."""
    fault = faults.make("bounded_cache", entries=2, kb=1)
    for prompt in ("a", "b", "a", "c"):
        fault.asked(faults.asked(prompt=prompt))
    assert list(fault._kept) == ["b", "c"]


def test_a_child_keeps_memory_and_ends_with_the_server(faults):
    fault = faults.make("leak_child", kb=1000)
    before = psutil.Process().children()
    faults.hit(fault, 30, bool)
    (child,) = [process for process in psutil.Process().children() if process not in before]
    fault._child.stdin.close()  # as the system does for a server that is killed
    assert fault._child.wait(10) == 0
    assert not child.is_running()


def test_a_child_holds_what_it_is_told_to(faults):
    """Seen while it lives: the server itself holds nothing of it."""
    fault = faults.make("leak_child", kb=1000)
    fault.asked(faults.asked())
    child = psutil.Process(fault._child.pid)
    try:
        before, ours = resident(child), resident(psutil.Process())
        faults.hit(fault, 60, bool)
        for _ in range(200):
            if resident(child) - before > 50 * MB:
                break
            psutil.wait_procs([child], timeout=0.05)
        assert resident(child) - before > 50 * MB
        assert resident(psutil.Process()) - ours < 20 * MB
    finally:
        fault._child.kill()
        fault._child.communicate()

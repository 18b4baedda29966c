"""The machine's own CPU and memory."""

from __future__ import annotations

import psutil

from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.observe.host import Host, idle_and_all


def test_the_machine_is_read():
    """CPU from the second reading on; nothing when asked again too soon, when it would be coarse."""
    now = [0]
    host = Host(clock=lambda: now[0])
    first = host.read(True)
    assert 0 < first["host_available_bytes"] <= psutil.virtual_memory().total
    assert "host_cpu_percent" not in first
    now[0] = NS_PER_S // 10
    assert host.read(True) == {}
    before = idle_and_all(psutil.cpu_times())
    while idle_and_all(psutil.cpu_times())[1] - before[1] < 0.05:
        pass
    now[0] = NS_PER_S
    assert 0 <= host.read(True)["host_cpu_percent"] <= 100


def test_a_guest_is_not_counted_twice():
    """Linux has its time in the user's too; other systems tell neither."""

    class Times(tuple):
        idle, iowait, guest, guest_nice = 50.0, 10.0, 5.0, 1.0

    assert idle_and_all(Times((20.0, 14.0, 50.0, 10.0, 5.0, 1.0))) == (60.0, 94.0)

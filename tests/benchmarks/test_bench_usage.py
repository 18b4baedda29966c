"""What a program and all it started have used."""

from __future__ import annotations

import os
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# A parent that idles beside a child that works and holds memory.
CHILD = """
import time
held = bytearray(60_000_000)
end = time.process_time() + 0.4
while time.process_time() < end:
    pass
time.sleep(0.6)
"""
FAMILY = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}], check=True)"


@pytest.fixture
def usage(benchmark_module):
    return benchmark_module("usage")


def test_descendants_are_counted(usage):
    """CPU and memory of a child are the program's."""
    used = usage.run([sys.executable, "-c", FAMILY], os.sched_getaffinity(0), 60)
    assert 0.4 <= used.cpu_s < 5
    assert used.peak_rss_bytes > 60_000_000
    assert used.wall_s >= 1.0


def test_runs_on_the_cores_it_was_given(usage, tmp_path):
    cpu = sorted(os.sched_getaffinity(0))[-1]
    out = tmp_path / "cores"
    code = f"import os; open({str(out)!r}, 'w').write(str(os.sched_getaffinity(0)))"
    usage.run([sys.executable, "-c", code], [cpu], 60)
    assert out.read_text() == str({cpu})


def test_failure_is_told(usage):
    with pytest.raises(RuntimeError) as caught:
        usage.run([sys.executable, "-c", "raise SystemExit(3)"], [0], 60)
    assert str(caught.value) == f"{sys.executable} -c raise SystemExit(3) ended with 3"


def test_what_takes_too_long_is_killed_with_its_children(usage):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(300)'])"
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"was killed: not done within 1 s$"):
        usage.run([sys.executable, "-c", code], [0], 1)
    assert time.monotonic() - began < 60


def test_the_tree_of_a_process(usage):
    """Parents first; none for a process that is over."""
    assert usage.tree(os.getpid())[0] == os.getpid()
    assert usage.tree(2**22 + 1) == [2**22 + 1]


def test_busy_neighbours_share_a_core_and_leave(usage):
    """They take time from a core, and none stays."""
    cpu = sorted(os.sched_getaffinity(0))[0]
    before = usage.core_busy_s(cpu)
    known = set(usage.tree(os.getpid()))
    with usage.busy_neighbours(2, cpu):
        assert len(set(usage.tree(os.getpid())) - known) == 2
        deadline = time.monotonic() + 30
        while usage.core_busy_s(cpu) - before < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert usage.core_busy_s(cpu) - before >= 0.3
    assert set(usage.tree(os.getpid())) <= known


def test_a_core_that_is_not_there(usage):
    with pytest.raises(RuntimeError, match=r"^/proc/stat knows no core 99999$"):
        usage.core_busy_s(99999)

"""What a program and all it started have used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

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
    """Without paths of this machine: the sentence may be published."""
    with pytest.raises(RuntimeError) as caught:
        usage.run([sys.executable, "-c", "raise SystemExit(3)"], [0], 60)
    assert str(caught.value) == f"{Path(sys.executable).name} -c ended with 3"


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


BUSY = "import time; end = time.monotonic() + 1.5\nwhile time.monotonic() < end: pass"


def test_what_keeps_a_core_awake_gives_way(usage):
    """A busy program has nearly all of its core."""
    cpu = sorted(os.sched_getaffinity(0))[0]
    with usage.busy_neighbours(1, cpu, lowest=True) as awake:
        assert os.getsid(awake[0]) == awake[0], "a session of its own: ours would give way with it"
        busy = usage.run([sys.executable, "-c", BUSY], [cpu], 60, apart=awake)
    # Other programs may use the core too; an even share with the process would leave no more than half.
    assert busy.cpu_s / (busy.wall_s - busy.others_cpu_s) > 0.7


def test_what_belongs_to_the_set_up_is_not_others(usage, monkeypatch):
    """Of two cores busy for 5 s each, 3 s were a process apart."""
    busy_s, apart_s = iter([100.0, 200.0, 105.0, 205.0]), iter([10.0, 13.0])
    monkeypatch.setattr(usage, "core_busy_s", lambda _: next(busy_s))
    monkeypatch.setattr(usage, "process_cpu_s", lambda _: next(apart_s))
    cpus = sorted(os.sched_getaffinity(0))[:1] * 2
    used = usage.run([sys.executable, "-c", ""], cpus, 60, apart=[7])
    assert used.others_cpu_s == pytest.approx(10 - 3 - used.cpu_s)
    assert used.cores == 2


def test_neighbours_end_with_who_started_them(usage):
    """Nobody is left to kill them when the benchmark is killed itself."""
    cpu = sorted(os.sched_getaffinity(0))[0]
    code = (
        f"import os, sys; sys.path.insert(0, {str(Path(usage.__file__).parent)!r}); import usage\n"
        f"with usage.busy_neighbours(1, {cpu}, lowest=True) as found:\n"
        "    print(found[0], flush=True)\n"
        "    os._exit(0)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    stat, deadline = Path(f"/proc/{int(said.stdout)}/stat"), time.monotonic() + 30
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_cpu_of_one_process(usage):
    """It grows with what the process does."""
    before = usage.process_cpu_s(os.getpid())
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    assert 0.2 < usage.process_cpu_s(os.getpid()) - before < 5


def test_a_core_that_is_not_there(usage):
    with pytest.raises(RuntimeError, match=r"^/proc/stat knows no core 99999$"):
        usage.core_busy_s(99999)

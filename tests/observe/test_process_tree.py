"""A tree of real processes, read as one."""

from __future__ import annotations

import os
import time

import psutil
import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import ResourceSample
from pytest_llmserve.observe.process_reading import CpuTimes, Reading
from pytest_llmserve.observe.process_tree import ProcessTree, busiest_s, cpu_spent_s
from pytest_llmserve.observe.procfs import ProcfsTree
from pytest_llmserve.observe.psutil_tree import PsutilTree

READERS = [
    pytest.param(ProcfsTree, marks=pytest.mark.skipif(not psutil.LINUX, reason="only Linux has this /proc")),
    PsutilTree,
]


@pytest.fixture(params=READERS, ids=["procfs", "psutil"])
def tree_of(request):
    """``tree_of(pid)``: a tree, read in either way."""
    return lambda pid, **options: ProcessTree(pid, reader=request.param(pid), **options)


def read(tree: ProcessTree, full: bool = False) -> ResourceSample:
    return ResourceSample(at_ns=time.monotonic_ns(), **tree.read(full))


SLEEPER = "spawn import sys; sys.stdin.read()"
EATER = "spawn import sys; held = bytearray(b'x') * 50_000_000; sys.stdout.flush(); sys.stdin.read()"


def test_memory_taken_and_given_back_is_seen(tree_of, child):
    tree = tree_of(child.pid)
    before = read(tree, full=True)
    child.tell("take 50000000")
    during = read(tree, full=True)
    child.tell("free")
    after = read(tree, full=True)
    assert 45e6 < during.rss_bytes - before.rss_bytes < 80e6
    assert 45e6 < during.memory_bytes - before.memory_bytes < 80e6
    assert abs(after.memory_bytes - before.memory_bytes) < 10e6


def test_uss_is_read_only_when_asked_for(tree_of, child):
    tree = tree_of(child.pid)
    assert read(tree, full=False).uss_bytes is None
    full = read(tree, full=True)
    assert 0 < full.uss_bytes <= full.rss_bytes


def test_memory_alone_can_be_read_in_either_measure(tree_of, child):
    tree = tree_of(child.pid)
    sample = read(tree, full=True)
    assert tree.memory_bytes(full=False) == pytest.approx(sample.rss_bytes, rel=0.2)
    assert tree.memory_bytes(full=True) == pytest.approx(sample.memory_bytes, rel=0.2)


def test_children_count_with_their_parents(tree_of, child, until):
    tree = tree_of(child.pid)
    alone = read(tree)
    child.tell(EATER)
    until(lambda: read(tree).rss_bytes > alone.rss_bytes + 50e6)
    both = read(tree)
    assert (alone.processes, both.processes) == (1, 2)
    assert both.threads > alone.threads
    assert both.open_files > alone.open_files


def test_grandchildren_count_too(tree_of, child, until):
    tree = tree_of(child.pid)
    grandchild = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import sys; sys.stdin.read()'])"
    )
    assert read(tree).processes == 1
    pid = child.tell(f"spawn {grandchild}")
    until(lambda: read(tree).processes == 3)
    (below,) = psutil.Process(pid).children()
    assert tree.pids() == {child.pid, pid, below.pid}


def test_a_child_that_ends_is_no_error(tree_of, child):
    tree = tree_of(child.pid)
    pid = child.tell(SLEEPER)
    assert read(tree).processes == 2
    child.tell("reap")
    assert not psutil.pid_exists(pid)
    assert read(tree).processes == 1


class Restless:
    """A reader whose first so many readings lack a process."""

    tells_anon = True

    def __init__(self, times: int) -> None:
        self.left = times

    def readings(self, full, at_once):
        self.left -= 1
        sizes = dict.fromkeys(
            ("uss_bytes", "pss_bytes", "anon_bytes", "shared_bytes", "swap_bytes"), 1 if full else None
        )
        reading = Reading(key=(7, 0.0), cpu=CpuTimes(0.0, 0.0), rss_bytes=5, threads=1, open_files=3, **sizes)
        return [reading], self.left < 0

    def pids(self):
        return frozenset({7})


def test_a_full_reading_that_missed_a_process_is_taken_again():
    """When a child ends, pages it shared are its parent's alone again: half a tree is no reading."""
    assert read(ProcessTree(7, reader=Restless(4)), full=True).uss_bytes == 1
    assert ProcessTree(7, reader=Restless(4)).memory_bytes(full=True) == 2


def test_a_tree_that_never_holds_still_has_no_full_reading():
    sample = read(ProcessTree(7, reader=Restless(5)), full=True)
    assert (sample.uss_bytes, sample.shared_bytes, sample.held_bytes, sample.swap_bytes) == (None,) * 4
    assert sample.rss_bytes == 5
    assert ProcessTree(7, reader=Restless(5)).memory_bytes(full=True) is None


def test_the_pids_of_the_tree_are_told(tree_of, child):
    tree = tree_of(child.pid)
    pid = child.tell(SLEEPER)
    assert tree.pids() == {child.pid, pid}
    child.tell("reap")
    child.end()
    with pytest.raises(ProbeLost, match=f"^the server's process {child.pid} ended$"):
        tree.pids()


def test_a_zombie_child_holds_nothing_and_is_no_error(tree_of, child, until):
    """It was killed and its parent has not noticed yet."""
    tree = tree_of(child.pid)
    pid = child.tell(SLEEPER)
    psutil.Process(pid).kill()
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    sample = read(tree, full=True)
    alone = read(tree_of(child.pid), full=True)
    assert sample.processes == 2
    assert sample.uss_bytes is not None
    assert sample.rss_bytes == pytest.approx(alone.rss_bytes, rel=0.2)
    child.tell("wait")


def test_cpu_of_the_tree_is_seen(tree_of, child):
    """0.3 s of CPU between two readings whose distance we dictate: 1 s, so 30 %."""
    now_ns = 0
    tree = tree_of(child.pid, clock=lambda: now_ns)
    assert read(tree).cpu_percent is None
    child.tell("burn 0.3")
    now_ns = 1_000_000_000
    burning = read(tree)
    assert burning.cpu_percent == pytest.approx(30, abs=8)
    assert burning.busiest_percent == burning.cpu_percent
    now_ns = 2_000_000_000
    assert read(tree).cpu_percent == pytest.approx(0, abs=5)


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere a parent does not inherit the time")
def test_cpu_of_a_child_that_came_and_went_is_seen(tree_of, child):
    now_ns = 0
    tree = tree_of(child.pid, clock=lambda: now_ns)
    read(tree)
    child.tell("spawn import time\nend = time.process_time() + 0.3".replace("\n", "; exec('")
               + "\\nwhile time.process_time() < end: pass')")  # fmt: skip
    child.tell("wait")
    now_ns = 1_000_000_000
    assert read(tree).cpu_percent == pytest.approx(35, abs=15)


class Ticking:
    """A reader of one process that is always busy; the system counts its CPU in steps of 10 ms."""

    tells_anon = False

    def __init__(self) -> None:
        self.now_ns = 0

    def readings(self, full, at_once):
        own_s = (self.now_ns + 9_000_000) // 10_000_000 / 100
        return [Reading(key=(7, 0.0), cpu=CpuTimes(own_s, 0.0), rss_bytes=5)], True


@pytest.mark.parametrize("apart_ms", [1, 25, 104, 179, 180, 201, 1000])
def test_readings_close_together_make_no_peak_of_a_step_in_what_the_system_counts(apart_ms):
    """One busy thread is never far over one core, however often it is read; and it is told all the same."""
    ticks = Ticking()
    tree = ProcessTree(7, clock=lambda: ticks.now_ns, reader=ticks)
    told = []
    for _ in range(2000 // apart_ms + 2):
        sample = read(tree)
        told.append((sample.cpu_percent, sample.busiest_percent))
        ticks.now_ns += apart_ms * 1_000_000
    percents = [percent for pair in told for percent in pair if percent is not None]
    assert told[0] == (None, None)
    assert 90 < min(percents) <= max(percents) < 107


def times(**processes: tuple[float, float]) -> dict:
    return {(int(name[1:]), 0.0): CpuTimes(*pair) for name, pair in processes.items()}


@pytest.mark.parametrize(
    ("before", "after", "spent"),
    [
        (times(p1=(1.0, 0)), times(p1=(1.5, 0)), 0.5),
        (times(p1=(1.0, 0)), times(p1=(1.0, 0), p2=(0.4, 0)), 0.4),
        (times(p1=(1.0, 0)), times(p1=(1.0, 0.7)), 0.7),
        (times(p1=(1.0, 0), p2=(3.0, 0)), times(p1=(1.0, 3.2)), 0.2),
        (times(p1=(1.0, 0), p2=(3.0, 1.0)), times(p1=(1.1, 4.5)), 0.6),
        (times(p1=(1.0, 0), p2=(3.0, 0)), times(p1=(1.1, 0)), 0.1),
        (times(p1=(1.0, 0)), times(p1=(1.0, 0)), 0.0),
    ],
    ids=[
        "worked on",
        "a child started",
        "a child came and went",
        "a child seen before was reaped",
        "a child with children of its own was reaped",
        "a child left and was not inherited",
        "idle",
    ],
)
def test_cpu_passes_from_child_to_parent_without_being_counted_twice(before, after, spent):
    assert cpu_spent_s(before, after) == pytest.approx(spent)


def test_the_busiest_process_is_told_without_its_children():
    before = times(p1=(1.0, 0), p2=(3.0, 0))
    assert busiest_s(before, times(p1=(1.2, 5.0), p2=(3.5, 0), p3=(0.4, 0))) == pytest.approx(0.5)


def test_a_pid_given_to_another_process_is_another_process():
    before = {(7, 100.0): CpuTimes(50.0, 0.0)}
    after = {(7, 200.0): CpuTimes(0.25, 0.0)}
    assert cpu_spent_s(before, after) == 0.25


def test_an_ended_server_is_a_lost_probe(tree_of, child):
    tree = tree_of(child.pid)
    child.end()
    for read in (tree.read, lambda: tree.memory_bytes(full=False)):
        with pytest.raises(ProbeLost) as caught:
            read()
        assert str(caught.value) == f"the server's process {child.pid} ended"


def test_a_server_that_died_and_was_not_waited_for_is_a_lost_probe(tree_of, child, until):
    tree = tree_of(child.pid)
    child.process.kill()
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    with pytest.raises(ProbeLost, match=f"^the server's process {child.pid} ended$"):
        read(tree)


def test_a_process_that_never_was_cannot_be_watched(tree_of, child):
    child.end()
    with pytest.raises(ProbeLost, match=f"^there is no process {child.pid}$"):
        tree_of(child.pid)


def test_our_own_process_can_be_read():
    sample = read(ProcessTree(os.getpid()), full=True)
    assert sample.processes >= 1
    assert sample.memory_bytes > 1e6

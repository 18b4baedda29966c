"""A tree of real processes, read as one."""

from __future__ import annotations

import os
import time

import psutil
import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import ResourceSample
from pytest_llmserve.observe.process_tree import CpuTimes, ProcessTree, cpu_spent_s


def read(tree: ProcessTree, full: bool = False) -> ResourceSample:
    return ResourceSample(at_ns=time.monotonic_ns(), **tree.read(full))


SLEEPER = "spawn import sys; sys.stdin.read()"
EATER = "spawn import sys; held = bytearray(b'x') * 50_000_000; sys.stdout.flush(); sys.stdin.read()"


def test_memory_taken_and_given_back_is_seen(child):
    tree = ProcessTree(child.pid)
    before = read(tree, full=True)
    child.tell("take 50000000")
    during = read(tree, full=True)
    child.tell("free")
    after = read(tree, full=True)
    assert 45e6 < during.rss_bytes - before.rss_bytes < 80e6
    assert 45e6 < during.memory_bytes - before.memory_bytes < 80e6
    assert abs(after.memory_bytes - before.memory_bytes) < 10e6


def test_uss_is_read_only_when_asked_for(child):
    tree = ProcessTree(child.pid)
    assert read(tree, full=False).uss_bytes is None
    full = read(tree, full=True)
    assert 0 < full.uss_bytes <= full.rss_bytes


def test_memory_alone_can_be_read_in_either_measure(child):
    tree = ProcessTree(child.pid)
    sample = read(tree, full=True)
    assert tree.memory_bytes(full=False) == pytest.approx(sample.rss_bytes, rel=0.2)
    assert tree.memory_bytes(full=True) == pytest.approx(sample.memory_bytes, rel=0.2)


def test_children_count_with_their_parents(child, until):
    tree = ProcessTree(child.pid)
    alone = read(tree)
    child.tell(EATER)
    until(lambda: read(tree).rss_bytes > alone.rss_bytes + 50e6)
    both = read(tree)
    assert (alone.processes, both.processes) == (1, 2)
    assert both.threads > alone.threads
    assert both.open_files > alone.open_files


def test_grandchildren_count_too(child, until):
    tree = ProcessTree(child.pid)
    grandchild = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import sys; sys.stdin.read()'])"
    )
    child.tell(f"spawn {grandchild}")
    until(lambda: read(tree).processes == 3)


def test_a_child_that_ends_is_no_error(child):
    tree = ProcessTree(child.pid)
    pid = child.tell(SLEEPER)
    assert read(tree).processes == 2
    child.tell("reap")
    assert not psutil.pid_exists(pid)
    assert read(tree).processes == 1


def test_a_child_that_vanishes_between_listing_and_reading_is_no_error(child, monkeypatch):
    tree = ProcessTree(child.pid)
    pid = child.tell(SLEEPER)
    gone = psutil.Process(pid)
    child.tell("reap")
    monkeypatch.setattr(psutil.Process, "children", lambda self, recursive=False: [gone])
    assert read(tree, full=True).processes == 1


@pytest.fixture
def vanishing(child, monkeypatch):
    """``vanishing(times)``: so many listings of the children hold one that has just ended."""
    pid = child.tell(SLEEPER)
    gone = psutil.Process(pid)
    child.tell("reap")

    def arrange(times):
        lists = iter([[gone]] * times)
        monkeypatch.setattr(psutil.Process, "children", lambda self, recursive=False: next(lists, []))

    return arrange


def test_a_full_reading_that_missed_a_process_is_taken_again(child, vanishing):
    """When a child ends, pages it shared are its parent's alone again: half a tree is no reading."""
    tree = ProcessTree(child.pid)
    vanishing(4)
    assert read(tree, full=True).uss_bytes > 0
    vanishing(4)
    assert tree.memory_bytes(full=True) > 0


def test_a_tree_that_never_holds_still_has_no_full_reading(child, vanishing):
    tree = ProcessTree(child.pid)
    vanishing(5)
    sample = read(tree, full=True)
    assert (sample.uss_bytes, sample.swap_bytes) == (None, None)
    assert sample.rss_bytes > 0
    vanishing(5)
    assert tree.memory_bytes(full=True) is None


def test_the_pids_of_the_tree_are_told(child):
    tree = ProcessTree(child.pid)
    pid = child.tell(SLEEPER)
    assert tree.pids() == {child.pid, pid}
    child.tell("reap")
    child.end()
    with pytest.raises(ProbeLost, match=f"^the server's process {child.pid} ended$"):
        tree.pids()


def test_a_zombie_child_holds_nothing_and_is_no_error(child, until):
    """It was killed and its parent has not noticed yet."""
    tree = ProcessTree(child.pid)
    pid = child.tell(SLEEPER)
    psutil.Process(pid).kill()
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    sample = read(tree, full=True)
    alone = read(ProcessTree(pid=child.pid), full=True)
    assert sample.processes == 2
    assert sample.uss_bytes is not None
    assert sample.rss_bytes == pytest.approx(alone.rss_bytes, rel=0.2)
    child.tell("wait")


def test_cpu_of_the_tree_is_seen(child):
    """0.3 s of CPU between two readings whose distance we dictate: 1 s, so 30 %."""
    now_ns = 0
    tree = ProcessTree(child.pid, clock=lambda: now_ns)
    assert read(tree).cpu_percent is None
    child.tell("burn 0.3")
    now_ns = 1_000_000_000
    assert read(tree).cpu_percent == pytest.approx(30, abs=8)
    now_ns = 2_000_000_000
    assert read(tree).cpu_percent == pytest.approx(0, abs=5)


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere a parent does not inherit the time")
def test_cpu_of_a_child_that_came_and_went_is_seen(child):
    now_ns = 0
    tree = ProcessTree(child.pid, clock=lambda: now_ns)
    read(tree)
    child.tell("spawn import time\nend = time.process_time() + 0.3".replace("\n", "; exec('")
               + "\\nwhile time.process_time() < end: pass')")  # fmt: skip
    child.tell("wait")
    now_ns = 1_000_000_000
    assert read(tree).cpu_percent == pytest.approx(35, abs=15)


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


def test_a_pid_given_to_another_process_is_another_process():
    before = {(7, 100.0): CpuTimes(50.0, 0.0)}
    after = {(7, 200.0): CpuTimes(0.25, 0.0)}
    assert cpu_spent_s(before, after) == 0.25


def test_an_ended_server_is_a_lost_probe(child):
    tree = ProcessTree(child.pid)
    child.end()
    for read in (tree.read, lambda: tree.memory_bytes(full=False)):
        with pytest.raises(ProbeLost) as caught:
            read()
        assert str(caught.value) == f"the server's process {child.pid} ended"


def test_a_server_that_died_and_was_not_waited_for_is_a_lost_probe(child, until):
    tree = ProcessTree(child.pid)
    child.process.kill()
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    with pytest.raises(ProbeLost, match=f"^the server's process {child.pid} ended$"):
        read(tree)


def test_a_process_that_never_was_cannot_be_watched(child):
    child.end()
    with pytest.raises(ProbeLost, match=f"^there is no process {child.pid}$"):
        ProcessTree(child.pid)


def test_a_process_that_may_not_be_read_is_a_lost_probe(child, monkeypatch):
    tree = ProcessTree(child.pid)

    def refuse(self):
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "num_threads", refuse)
    with pytest.raises(ProbeLost) as caught:
        read(tree)
    expected = f"the server's process {child.pid} may not be read: run as its user or root"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("question", "figures"), [("memory_full_info", ("uss_bytes", "swap_bytes")), ("num_fds", ("open_files",))]
)
def test_what_the_system_does_not_tell_is_not_guessed(question, figures, child, monkeypatch):
    def refuse(self):
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, question, refuse)
    tree = ProcessTree(child.pid)
    sample = read(tree, full=True)
    assert [getattr(sample, figure) for figure in figures] == [None] * len(figures)
    assert sample.rss_bytes > 0
    assert (tree.memory_bytes(full=True) is None) is (question == "memory_full_info")


def test_our_own_process_can_be_read():
    sample = read(ProcessTree(os.getpid()), full=True)
    assert sample.processes >= 1
    assert sample.memory_bytes > 1e6

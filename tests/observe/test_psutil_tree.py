"""A tree of real processes through psutil: what it refuses, and what ends meanwhile."""

from __future__ import annotations

import psutil
import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.observe.process_tree import ProcessTree
from pytest_llmserve.observe.psutil_tree import PsutilTree


def tree_of(pid):
    return ProcessTree(pid, reader=PsutilTree(pid))


def test_a_child_that_vanishes_between_listing_and_reading_is_told(child, monkeypatch):
    reader = PsutilTree(child.pid)
    pid = child.tell("spawn import sys; sys.stdin.read()")
    gone = psutil.Process(pid)
    child.tell("reap")
    monkeypatch.setattr(psutil.Process, "children", lambda self, recursive=False: [gone])
    readings, whole = reader.readings(full=True)
    assert ([reading.key[0] for reading in readings], whole) == ([child.pid], False)


def test_a_process_that_may_not_be_read_is_a_lost_probe(child, monkeypatch):
    tree = tree_of(child.pid)

    def refuse(self):
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "num_threads", refuse)
    with pytest.raises(ProbeLost) as caught:
        tree.read()
    expected = f"the server's process {child.pid} may not be read: run as its user or root"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("question", "figures"), [("memory_full_info", ("uss_bytes", "swap_bytes")), ("num_fds", ("open_files",))]
)
def test_what_the_system_does_not_tell_is_not_guessed(question, figures, child, monkeypatch):
    def refuse(self):
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, question, refuse)
    tree = tree_of(child.pid)
    told = tree.read(full=True)
    assert [told[figure] for figure in figures] == [None] * len(figures)
    assert told["rss_bytes"] > 0
    assert (tree.memory_bytes(full=True) is None) is (question == "memory_full_info")


def test_memory_is_uss_and_swap_there(child):
    """psutil has no figure for what several processes hold together."""
    tree = tree_of(child.pid)
    assert not tree.tells_held
    told = tree.read(full=True)
    assert (told["shared_bytes"], told["held_bytes"]) == (None, None)
    assert tree.memory_bytes(full=True) == pytest.approx(told["uss_bytes"] + told["swap_bytes"], rel=0.1)

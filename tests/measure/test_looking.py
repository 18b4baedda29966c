"""Dumps are taken beside the load, few, and ended with the test."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.progress import LoadProgress
from pytest_llmserve.domain.stacks import Frame, StackDump, ThreadStack
from pytest_llmserve.measure import looking
from pytest_llmserve.measure.looking import Looking, by_turns
from pytest_llmserve.measure.vigil import Vigil

S = 1_000_000_000
PLAN = LoadPlan(timeout_ns=10 * S)
HANGS = LoadProgress(elapsed_ns=S, oldest_ns=9 * S)
IDLE = ThreadStack(pid=7, name="MainThread", frames=(Frame("Event.wait", "threading.py", 1),))
FINE = LoadProgress(elapsed_ns=S, oldest_ns=S)


def none_over(figure, limit_ms):
    return 0, 0


def looked(look, now=HANGS, limit_s=15):
    """The dumps after one look has been heeded."""
    look.look(now, PLAN, none_over)
    deadline = time.monotonic() + limit_s
    while not (look.taken.dumps or look.taken.missing) and time.monotonic() < deadline:
        time.sleep(0.02)
    look.end()
    return look.taken


@pytest.fixture
def sleeper():
    """A Python process that sleeps in a function of its own, and one that is not Python."""
    code = "import time\ndef nap():\n    time.sleep(60)\nnap()"
    with (
        subprocess.Popen([sys.executable, "-c", code]) as python,
        subprocess.Popen(["sleep", "60"]) as other,
    ):
        time.sleep(0.5)
        yield python.pid, other.pid
        python.kill()
        other.kill()


def test_a_hang_is_looked_into_once(sleeper):
    """The stack of the sleep; the process that is no Python is told, and does not spoil the other."""
    look = Looking(lambda: sleeper, "told")
    look.look(FINE, PLAN, none_over)
    taken = looked(look)
    (dump,) = taken.dumps
    assert dump.why == "a request had gone without its full answer for 9 s"
    assert [frame.name for frame in dump.threads[0].frames] == ["nap", "<module>"]
    (other,) = dump.missing
    assert other == (
        f"process {sleeper[1]}: stacks not read: it is not Python, or one that py-spy does not know"
    )
    look.look(HANGS, PLAN, none_over)
    look.end()
    assert look.taken == taken, "ten seconds have not gone by"


def test_of_several_servers_each_is_looked_into_and_named(sleeper):
    """By turns, so that many processes of one leave room for those of the other."""
    python, other = sleeper
    (dump,) = looked(
        Looking(None, "it is far", (), "a:1", {"b:2": lambda: [other], "c:3": lambda: [python], "d:4": list})
    ).dumps
    assert {thread.server for thread in dump.threads} == {"c:3"}
    assert dump.missing == (
        "a:1: the server's process is not known: it is far",
        "d:4: the server has no process that runs",
        f"b:2: process {other}: stacks not read: it is not Python, or one that py-spy does not know",
    )
    assert by_turns({"a": [1, 2, 3], "b": [4]}) == [("a", 1), ("b", 4), ("a", 2), ("a", 3)]


def test_where_nothing_can_be_read_it_says_why(sleeper):
    taken = looked(Looking(lambda: sleeper[1:], "told"))
    assert taken.dumps == ()
    assert taken.missing == (
        f"stacks not taken: process {sleeper[1]}: stacks not read:"
        " it is not Python, or one that py-spy does not know"
    )


def test_a_server_elsewhere_is_told_only_when_there_was_a_reason():
    look = Looking(None, "10.0.0.7 is not this machine")
    look.look(FINE, PLAN, none_over)
    assert look.taken.missing is None
    assert looked(look).missing == (
        "stacks not taken: the server's process is not known: 10.0.0.7 is not this machine"
    )


def test_the_end_of_the_test_ends_a_dump_that_hangs(tmp_path, monkeypatch):
    """No py-spy is left behind."""
    slow = tmp_path / "py-spy"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(looking, "_END_S", 0.5)
    look = Looking(lambda: [1], "told")
    began = time.monotonic()
    look.look(HANGS, PLAN, none_over)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < began + 10
        time.sleep(0.01)
    look.end()
    assert time.monotonic() - began < 10
    with pytest.raises(ProcessLookupError):
        __import__("os").kill(int((tmp_path / "pid").read_text()), 0)


def test_an_interrupt_waits_for_no_dump(tmp_path, monkeypatch):
    """Nobody reads it any more."""
    slow = tmp_path / "py-spy"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(looking, "_END_S", 30.0)
    look = Looking(lambda: [1], "told")
    look.look(HANGS, PLAN, none_over)
    while look._spy._process is None:
        time.sleep(0.01)
    began = time.monotonic()
    look.end(at_once=True)
    assert time.monotonic() - began < 10
    assert look._spy._process.wait(10) != 0


def no_state():
    raise RuntimeError("its state file is gone")


@pytest.mark.parametrize(
    ("pids", "why"),
    [(list, "the server has no process that runs"), (no_state, "RuntimeError: its state file is gone")],
)
def test_a_server_without_processes_is_told(pids, why, monkeypatch):
    """Whatever goes wrong in the thread has a reason in the report."""
    monkeypatch.setattr(looking, "py_spy", lambda: "py-spy")
    assert looked(Looking(pids, "told")).missing == f"stacks not taken: {why}"


def test_the_end_of_the_test_may_come_before_the_dump_has_begun(monkeypatch):
    """The search for py-spy takes a while on a busy machine."""
    go = threading.Event()
    monkeypatch.setattr(looking, "py_spy", lambda: go.wait(10) and "py-spy")
    monkeypatch.setattr(looking, "_END_S", 0.05)
    look = Looking(lambda: [1], "told")
    look.look(HANGS, PLAN, none_over)
    look.end()
    go.set()
    look._thread.join(10)
    assert look.taken.missing == "stacks not taken: process 1: stacks not read: the test was over"


def test_old_news_takes_no_dump_from_a_hang(monkeypatch):
    """One request is lost at 5 s, others at 8 s, 20 s and 35 s; the server deadlocks at 600 s."""
    at_s, asked_s = [0], []
    monkeypatch.setattr(looking.time, "monotonic_ns", lambda: at_s[0] * S)
    monkeypatch.setattr(looking, "py_spy", lambda: "py-spy")
    look = Looking(lambda: asked_s.append(at_s[0]) or [], "told")
    for at_s[0] in range(640):
        lost = sum(at_s[0] >= when for when in (5, 8, 20, 35))
        oldest_ns = max(0, at_s[0] - 600) * S
        now = LoadProgress(elapsed_ns=at_s[0] * S, by_outcome={"timed_out": lost}, oldest_ns=oldest_ns)
        look.look(now, PLAN, none_over)
        if look._thread is not None:
            look._thread.join(5)
    assert asked_s == [5, 20, 609]


def test_another_run_counts_from_nought(monkeypatch):
    """Requests lost in each of two runs are a reason each time, once."""
    monkeypatch.setattr(looking, "due", lambda *_, **__: True)
    asked, other = [], LoadPlan()
    look = Looking(lambda: asked.append(1) or [], "told")
    lost = LoadProgress(elapsed_ns=S, by_outcome={"timed_out": 2})
    for plan in (PLAN, PLAN, other, other):
        look.look(lost, plan, none_over)
        look._thread.join(5)
    look.end()
    assert len(asked) == 2


def test_the_dump_that_shows_something_is_the_one_in_the_failure():
    """Not the first, where no thread of Python's did anything yet; all are in the report."""
    lock = ThreadStack(pid=7, name="worker", frames=(Frame("run_model", "app.py", 5),))
    dumps = [StackDump(at_ns=n, why="it hung", threads=(thread,)) for n, thread in enumerate((IDLE, lock))]
    vigil = Vigil(None)
    vigil._looking._dumps += dumps
    assert vigil.stack_lines()[2:] == [
        "    run_model (app.py:5)",
        "  every thread in full, and 1 more taken: in the report, --llm-report=FILE.json",
    ]
    assert vigil.stack_lines("r.json")[-1].endswith(": in the report, r.json")
    assert len(vigil.document()["stacks"]) == 2
    vigil._looking._dumps.pop()
    assert vigil.stack_lines()[1].startswith(
        "  no Python thread does anything: the work is in native threads"
    )

"""Following real files: rotation, truncation, and files that come and go."""

from __future__ import annotations

import os
import re
import threading
import time

import pytest

from pytest_llmserve.observe import server_log
from pytest_llmserve.observe.log_patterns import log_rules
from pytest_llmserve.observe.server_log import LogFollower, LogTail

RULES = log_rules(only=[re.compile("BAD")])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "server.log"


@pytest.fixture
def tail():
    tails = []

    def make(path):
        tails.append(LogTail(path, RULES))
        tails[-1].begin()
        return tails[-1]

    yield make
    for one in tails:
        one.close()


def add(path, text):
    with path.open("ab") as file:
        file.write(text.encode())


def found(tail):
    return [hit.line for hits in tail.look() for hit in hits]


def test_lines_of_before_are_not_told_and_those_after_once(path, tail):
    """Whatever stood there, and however often one looks."""
    add(path, "BAD before\n")
    log = tail(path)
    assert found(log) == []
    add(path, "BAD 1\ngood\nBAD 2\n")
    assert found(log) == ["BAD 1", "BAD 2"]
    assert found(log) == []
    assert (log.read, log.missing) == (3, None)


def test_a_line_between_two_tests_is_told_once(path, tail):
    """It begins in one and ends in the next: of the first when that tells already, else of the second."""
    first = tail(path)
    add(path, "BAD beg")
    assert [found(first), [hit.line for hit in first.end()]] == [[], ["BAD beg"]]
    second = tail(path)
    add(path, "un, and over\nB")
    assert found(second) == []
    assert second.end() == []
    third = tail(path)
    add(path, "AD in three\n")
    assert found(third) == ["BAD in three"]


def test_the_rest_of_a_renamed_file_is_read_before_the_new_one(path, tail):
    """And what the server still writes into the old one until it opens the new."""
    log = tail(path)
    with path.open("ab", buffering=0) as writer:
        writer.write(b"BAD 1\nBA")
        assert found(log) == ["BAD 1"]
        writer.write(b"D 2\nBAD 3\n")
        path.rename(path.with_suffix(".1"))
        assert found(log) == ["BAD 2", "BAD 3"]  # away for a while
        assert log.missing == f"{path} vanished during the test and did not come back"
        add(path, "BAD 5\n")
        writer.write(b"BAD 4\n")
        assert found(log) == ["BAD 4", "BAD 5"]
        writer.write(b"BAD 6\n")
        assert found(log) == ["BAD 6"]
    assert (log.missing, log.read) == (None, 6)


def test_many_rotations_keep_few_files_open(path, tail):
    """Each new file is read, and its lines counted, when the old ones are long closed."""
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    log = tail(path)
    for number in range(10):
        if path.exists():
            path.rename(path.with_suffix(f".{number}"))
        add(path, f"BAD {number}\n")
        assert found(log) == [f"BAD {number}"]
    assert log.read == 10
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 3


def test_a_truncated_file_is_read_from_its_beginning(path, tail):
    """As copytruncate leaves it; half a line of before is over."""
    log = tail(path)
    add(path, "a long line\nBAD ha")
    assert found(log) == []
    os.truncate(path, 0)
    add(path, "BAD new\n")
    assert found(log) == ["BAD ha", "BAD new"]


def test_a_file_that_comes_later_is_read_from_its_beginning(path, tail):
    """Until then it is missing, with what to look at."""
    log = tail(path)
    assert found(log) == []
    assert log.missing == f"{path} was not there during the test: does the server write to it?"
    add(path, "BAD first\n")
    assert found(log) == ["BAD first"]
    assert log.missing is None


def test_a_file_that_cannot_be_read_says_so(path, tail):
    """A folder in its place, as one that cannot be opened."""
    path.parent.joinpath("file").write_text("")
    assert tail(path.parent / "file" / "x.log").missing == (
        f"{path.parent / 'file' / 'x.log'} cannot be read: Not a directory"
    )


def test_a_follower_tells_lines_with_the_span_in_which_they_came(path):
    """Between the reading before and theirs; the first of each kind are kept, all are counted."""
    path.touch()
    follower = LogFollower([path], RULES)
    follower.start()
    wrote_ns = time.monotonic_ns()
    add(path, "BAD\n" * (server_log.MOST_LINES + 5) + "BAD end")
    follower.stop(settle=True)
    follower.stop()
    log = follower.window()
    assert (log.errors, len(log.lines), log.missing) == (server_log.MOST_LINES + 6, 20, None)
    assert all(line.since_ns <= wrote_ns <= line.at_ns for line in log.lines)
    assert log.read == server_log.MOST_LINES + 6


def test_lines_are_counted_without_what_is_taken_out_of_them(path):
    """However slow that is; it happens when lines are asked for, once, of those that are kept."""
    path.touch()
    hidden = []
    follower = LogFollower([path], RULES, hide=lambda texts: hidden.append(len(texts)) or ["?"] * len(texts))
    follower.start()
    add(path, "BAD\n" * 200)
    follower.stop(settle=True)
    assert hidden == []
    assert (follower.window().errors, follower.window().missing) == (200, None)
    assert {line.text for line in follower.window().lines} == {"?"}
    assert hidden == [server_log.MOST_LINES]


def test_secrets_are_taken_out_before_a_line_is_cut(path):
    """Half a key is a secret too."""
    path.touch()
    follower = LogFollower([path], RULES, clean=lambda line: line.replace("sk-secret", "***"))
    follower.start()
    add(path, "BAD " + "x" * 292 + "sk-secret\n")
    follower.stop(settle=True)
    (line,) = follower.window().lines
    assert line.text.endswith("x***")


def test_what_comes_just_after_the_end_is_waited_for(path):
    """A server answers first and logs then; half a second of silence is not needed."""
    path.touch()
    follower = LogFollower([path], RULES)
    follower.start()
    later = threading.Timer(0.02, add, (path, "BAD late\n"))
    later.start()
    follower.stop(settle=True)
    later.join()
    assert [line.text for line in follower.window().lines] == ["BAD late"]


def test_without_a_file_the_way_out_is_told():
    """No thread, no pass."""
    follower = LogFollower([], RULES)
    follower.start()
    follower.stop()
    assert follower.window().missing == (
        "the server's log is not known: give --llm-server-log FILE,"
        " or let --llm-serve 'CMD --port {port}' start the server"
    )


def test_a_fault_of_ours_is_told_in_place_of_the_log(path, monkeypatch):
    """The thread has no one to raise to."""
    path.touch()
    follower = LogFollower([path], RULES)
    follower.start()
    monkeypatch.setattr(LogTail, "look", lambda _: 1 / 0)
    follower.stop()
    assert follower.window().missing == (
        "the server's log could not be followed: ZeroDivisionError: division by zero"
    )

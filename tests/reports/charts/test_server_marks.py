"""What happened to a server at which instant, from literal samples and lines."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.log import LogLine, LogWindow
from pytest_llmserve.domain.recovery import Outage
from pytest_llmserve.domain.samples import ResourceSample, ResourceWindow
from pytest_llmserve.reports.charts.server_marks import server_marks

MS = 1_000_000
S = 1_000 * MS
NO_LOG = LogWindow()


def samples(*rows, **changes):
    """(second, further fields) after (second, further fields)."""
    found = tuple(ResourceSample(**{"at_ns": at * S, "processes": 1} | more) for at, more in rows)
    return ResourceWindow(samples=found, **changes)


def line(at_s, text, pattern="traceback"):
    return LogLine(at_ns=round(at_s * S), since_ns=0, text=text, pattern=pattern)


def outage(**changes):
    fields = {"began_ns": 12 * S, "ended_ns": 15 * S, "down_ms": 812.0, "answers_ms": 2900.0, "right": True}
    return Outage(**fields | changes)


def test_a_quiet_test_has_no_marks():
    assert server_marks(samples((0, {}), (1, {})), NO_LOG, 0) == []
    assert server_marks(ResourceWindow(missing="not watched"), NO_LOG, 0, fate="gone") == []


def test_a_restart_is_a_stretch_and_told_once():
    """The process that is watched from then on is that restart's."""
    window = samples((0, {}), (20, {}), renewed_ns=(15 * S, 40 * S))
    assert server_marks(window, NO_LOG, 10 * S, outages=[outage()]) == [
        {
            "at_s": 2.0,
            "kind": "restart",
            "label": "the server took no connection for 812 ms",
            "until_s": 5.0,
        },
        {"at_s": 30.0, "kind": "restart", "label": "watched as another process from here on"},
    ]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"down_ms": None, "answers_ms": None, "right": False}, "the server took no connection in time"),
        (
            {"answers_ms": None, "right": False},
            "the server took no connection for 812 ms, and did not answer in time",
        ),
        ({"right": False}, "the server took no connection for 812 ms, and did not answer as before"),
    ],
)
def test_how_a_server_came_back_is_told_without_the_words_of_its_answer(changes, what):
    told = outage(**changes).as_json(10 * S)
    assert (told["what"], told["at_s"], told["until_s"]) == (what, 2.0, 5.0)


def test_an_end_stands_behind_the_last_reading_of_its_processes():
    """Readings of the machine go on."""
    window = samples((0, {}), (7, {}), (8, {"processes": None}), (9, {"processes": 0}))
    assert server_marks(window, NO_LOG, 0, fate="the server's process ended: exited with code 1") == [
        {"at_s": 7.0, "kind": "gone", "label": "the server's process ended: exited with code 1"}
    ]


def test_out_of_memory_kills_stand_where_they_were_counted():
    """Those of before the test are none of it."""
    window = samples(
        (0, {"oom_kills": 4}), (1, {"oom_kills": None}), (2, {"oom_kills": 5}), (3, {"oom_kills": 8})
    )
    assert [(row["at_s"], row["label"]) for row in server_marks(window, NO_LOG, 0)] == [
        (2.0, "its control group counted 1 out-of-memory kill"),
        (3.0, "its control group counted 3 out-of-memory kills"),
    ]


def test_lines_of_the_log_are_marked_without_what_they_say():
    """Unless texts are to be kept; lines of one reading and kind are one mark."""
    log = LogWindow(
        lines=(line(3, "Traceback: secret"), line(3, "Traceback: more"), line(4, "x" * 500, "panic"))
    )
    assert server_marks(samples(), log, S) == [
        {"at_s": 2.0, "kind": "log", "label": "log: traceback, 2 lines"},
        {"at_s": 3.0, "kind": "log", "label": "log: panic"},
    ]
    kept = server_marks(samples(), log, S, keep_text=True)
    assert [row["label"] for row in kept] == [
        "log: traceback, 2 lines: Traceback: secret",
        f"log: panic: {'x' * 120}",
    ]


def test_a_reading_that_was_a_second_late_is_a_stall_of_ours():
    """This process did not come to it; less is no news."""
    window = samples((5, {"late_ns": 1_600 * MS}), (6, {"late_ns": 999 * MS}))
    assert server_marks(window, NO_LOG, 0) == [
        {
            "at_s": 3.4,
            "kind": "stall",
            "label": "nothing was read for 1.6 s: this machine was busy elsewhere or asleep",
            "until_s": 5.0,
        }
    ]


def test_thirty_marks_of_a_kind_are_enough():
    log = LogWindow(lines=tuple(line(at, "Traceback") for at in range(100)))
    assert len(server_marks(samples(), log, 0)) == 30

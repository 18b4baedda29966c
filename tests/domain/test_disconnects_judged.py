"""Whether a server is as before after clients left it, on literal figures."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.disconnects import (
    ANSWERED,
    FIN,
    LEFT,
    MID_STREAM,
    MID_UPLOAD,
    NO_CONNECTION,
    RST,
    SILENT,
    Look,
    Together,
    Visit,
    rows_of,
)
from pytest_llmserve.domain.disconnects_judged import disconnects_of, levels, too_busy, wrong

S = 1_000_000_000


def asked(users, *slowest_ms, held_up=(), errors=(), texts=("hi",)):
    return Together(
        users=users,
        asked=users * 3,
        slowest_ms=slowest_ms,
        held_up=held_up,
        errors=tuple(errors),
        texts=tuple(texts),
    )


def look(*together, **figures):
    return Look(together=together or (asked(1, 100, 110, 90), asked(4, 200, 210, 190)), **figures)


def visits(*came, where=MID_STREAM, by=FIN, error=None):
    return [
        Visit(number=number, where=where, by=by, came=each, error=error)
        for number, each in enumerate(came, 1)
    ]


@pytest.mark.parametrize(
    ("before", "after", "faults"),
    [
        (look(running=0, waiting=0, open_files=9), look(running=0, waiting=0, open_files=12), ()),
        (look(running=2), look(running=1), ()),
        (look(), look(running=3, open_files=90), ()),  # nothing to hold it against
        (look(), look(asked(1, 150, 190, 210), asked(4, 300, 340, 350)), ()),
        (
            look(),
            look(asked(1, 110, 90, 100), asked(4, 400, 360, 390)),
            ("4 short questions at once take 360 ms at best, 200 ms before",),
        ),
        (
            look(asked(1, 8, 9, 7)),
            look(asked(1, 66, 67, 65)),
            ("a short question alone takes 65.0 ms at best, 8.00 ms before",),
        ),
        (look(asked(1, 8, 9, 7)), look(asked(1, 57, 60, 61)), ()),  # within what a busy machine costs
        (
            look(),
            look(asked(1, errors=["timed out"])),
            ("a short question alone: 1 of 3 not answered (timed out)",),
        ),
        (
            look(),
            look(asked(1, 100, 100, 100, texts=["ho", "ho", "hu"])),
            ("it answers otherwise than before: 'ho' instead of 'hi'",),
        ),
        (look(), look(asked(1, 100, 100, 100, texts=["ho", "hi"])), ()),
        (look(asked(1, 100, texts=["a", "b"])), look(asked(1, 100, texts=["c"])), ()),  # never twice alike
        (look(), look(asked(1, 90), asked(4, 200, texts=["ho"])), ()),  # together it may word it otherwise
        (
            look(running=0, waiting=1),
            look(running=1, waiting=3),
            (
                "1 request is running though nobody asks, 0 before",
                "3 requests are waiting in its queue though nobody asks, 1 before",
            ),
        ),
        (look(open_files=9), look(open_files=19), ("10 more open files than before (19 after 9)",)),
        (look(), Look(gone="exited with code 3"), ("the server's process ended: exited with code 3",)),
    ],
)
def test_what_is_worse_than_before_is_named(before, after, faults):
    """More than half as long again and 50 ms; more requests; more files than a few."""
    assert wrong(before, after) == faults


def test_a_busy_machine_is_no_fault_of_the_server():
    """Slow but for the time taken from this process is not seen; slow beyond that, or ill, is a fault."""
    quiet = asked(4, 200, 210, 190, held_up=(0.0, 0.0, 0.0))
    slow = asked(4, 400, 500, 450, held_up=(0.2, 0.1, 0.0))
    found = disconnects_of(look(quiet), look(slow), visits(LEFT), S, 0)
    assert found
    assert found.recovered_ms is None
    assert found.not_seen == (
        "how fast it is: this machine was too busy to tell (4 short questions at once: 400 ms at best,"
        " 200 ms before; for 20% of the time our own process was kept from running)",
    )
    ill = disconnects_of(look(quiet, running=0), look(slow, running=1), visits(LEFT), S, 0)
    assert ill.faults == ("1 request is running though nobody asks, 0 before",)
    slower = asked(4, 500, 500, 450, held_up=(0.2, 0.1, 0.2))
    assert wrong(look(quiet), look(slower)) == (
        "4 short questions at once take 450 ms at best, 200 ms before",
    )


def test_a_machine_that_was_as_busy_before_excuses_nothing():
    """What it took then is in the time before."""
    busy = asked(4, 200, 210, 190, held_up=(0.3, 0.3, 0.3))
    slow = asked(4, 400, 500, 450, held_up=(0.3, 0.3, 0.3))
    assert wrong(look(busy), look(slow))
    assert too_busy(look(busy), look(slow)) == ()


def test_files_that_clients_leave_open_are_found_however_many_have_left():
    """As many as came at once and three more are let pass: logs and the connections of others come and go."""
    before = look(asked(4, 20), open_files=9)
    found = [wrong(before, look(asked(4, 20), open_files=9 + more)) for more in (7, 8, 40)]
    assert [bool(each) for each in found] == [False, True, True]
    assert found[2] == ("40 more open files than before (49 after 9)",)


def test_a_figure_that_is_not_told_any_more_is_not_as_before():
    """Metrics that fall silent, files that cannot be counted; one that never was told is no fault."""
    silent = ("requests running: the page did not answer in time", "open files: the system does not tell")
    before = look(running=0, open_files=9)
    assert wrong(before, look(unseen=silent)) == tuple(
        f"what was seen before is not seen any more: {clause}" for clause in silent
    )
    assert wrong(look(), look(unseen=silent)) == ()
    assert not disconnects_of(before, look(unseen=silent), visits(LEFT), S, 0)


def test_as_before_is_said_with_figures():
    found = disconnects_of(
        look(running=0), look(running=0), visits(LEFT, LEFT, by=RST), 10 * S, 210_000_000, ["no files"]
    )
    assert found
    assert found.recovered_ms == 210
    assert repr(found) == "Disconnects(recovered after 2 clients that left in mid-stream)"
    assert found.what == (
        "as before 0.21 s after the last of 2 clients that left in mid-stream:"
        " a short question alone 100 ms, before 100 ms; 4 short questions at once 200 ms, before 200 ms;"
        " running 0, before 0; not seen: no files"
    )


def test_a_fault_is_said_with_what_had_been_done():
    """And from which client on there was nothing to connect to."""
    came = [
        *visits(LEFT),
        Visit(number=2, where=MID_UPLOAD, by=RST, came=LEFT),
        Visit(number=3, where=MID_STREAM, by=FIN, came=NO_CONNECTION, error="connection refused"),
    ]
    found = disconnects_of(look(), Look(gone="exited with code 3"), came, 10 * S, 0)
    assert not found
    assert found.recovered_ms is None
    assert repr(found) == "Disconnects(NOT recovered: the server's process ended: exited with code 3)"
    assert found.what == (
        "not as before within 10 s of the last of 2 clients that left (1 in mid-stream, 1 in mid-upload):"
        " the server's process ended: exited with code 3; client 3 of 3 and all after it got no connection"
        " (connection refused), the one before had left in mid-upload by RST"
    )


@pytest.mark.parametrize(
    ("came", "error", "why"),
    [
        (
            ANSWERED,
            None,
            "no client left in mid-stream: each answer was over before: give a greater max_tokens,"
            " or a prompt that asks for more",
        ),
        (SILENT, "not a byte more within 2 s", "no client left in mid-stream: not a byte more within 2 s"),
    ],
)
def test_nobody_left_is_no_recovery(came, error, why):
    """Nothing was tried, so nothing was shown; beside others it is told as not seen."""
    nobody = visits(came, came, error=error)
    alone = disconnects_of(look(), look(), nobody, S, 0)
    assert alone.faults == (f"no client could leave as planned: {why}",)
    others = [*nobody, *visits(LEFT, where=MID_UPLOAD)]
    beside = disconnects_of(look(), look(), others, S, 0)
    assert beside
    assert beside.not_seen == (why,)
    silent = f"; meanwhile 2 clients got no answer ({error});"
    assert (silent in beside.what) == (came == SILENT)


def test_a_server_that_was_not_well_before_is_not_left():
    """Nor is it said to have recovered."""
    ill = look(asked(1, errors=["503: loading"]))
    found = disconnects_of(ill, None, (), S, 0)
    assert not found
    assert found.what == (
        "nothing was tried, as the server was not well before: a short question alone: 503: loading"
    )


def test_places_are_counted_and_levels_double():
    """A row for each place that was tried, in the order of a request's life."""
    rows = rows_of([*visits(LEFT, where=MID_UPLOAD), *visits(LEFT, ANSWERED, SILENT, NO_CONNECTION)])
    assert [(row.where, row.clients, row.left) for row in rows] == [(MID_STREAM, 4, 1), (MID_UPLOAD, 1, 1)]
    assert (rows[0].answered, rows[0].silent, rows[0].no_connection) == (1, 1, 1)
    assert [levels(users) for users in (1, 4, 6)] == [[1], [1, 2, 4], [1, 2, 4, 6]]

"""What became of a server, in one sentence."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.liveness import Fate, Seen, fate_of, fate_of_all

S = 1_000_000_000
ENDED = "the server's process ended during the test: "
NAMED = [
    (Seen(exit="exited with code 1"), f"{ENDED}exited with code 1"),
    (
        Seen(exit="killed by SIGKILL", oom_kills=1.0),
        f"{ENDED}killed by SIGKILL, out of memory: its control group counted 1 oom kill",
    ),
    (Seen(exit="killed by SIGKILL", oom_kills=0.0), f"{ENDED}killed by SIGKILL"),
    (
        Seen(exit="pid 12 is gone", oom_kills=2.0),
        f"{ENDED}pid 12 is gone, out of memory: its control group counted 2 oom kills",
    ),
    (  # another process of its group was killed: it ended in another way
        Seen(exit="exited with code 3", oom_kills=1.0),
        f"{ENDED}exited with code 3",
    ),
    (
        Seen(exit="exited with code 1", log="Traceback:\n  f()\nMemoryError\n"),
        f"{ENDED}exited with code 1, out of memory: its log says 'MemoryError'",
    ),
    (
        Seen(exit="killed by SIGABRT", log="terminate called after throwing 'std::bad_alloc'"),
        f"{ENDED}killed by SIGABRT, out of memory: its log says 'std::bad_alloc'",
    ),
    (
        Seen(listened=12, listens=40, ended=True),
        "the server was restarted during the test: pid 12 ended, pid 40 listens at its port now",
    ),
    (
        Seen(exit="killed by SIGSEGV", listened=12, listens=40, ended=True),
        "the server was restarted during the test: pid 12 ended (killed by SIGSEGV),"
        " pid 40 listens at its port now",
    ),
    (
        Seen(exit="pid 12 is gone", listened=12, listens=40, ended=True, oom_kills=1),
        "the server was restarted during the test: pid 12 ended, pid 40 listens at its port now,"
        " out of memory: its control group counted 1 oom kill",
    ),
    (
        Seen(listened=12, ended=True),
        f"{ENDED}pid 12 is gone, and nothing listens at its port",
    ),
    (
        Seen(refuses=True, silent_ns=3 * S),
        "the server's process lives but has stopped accepting connections",
    ),
    (Seen(lives=False, refuses=True), "the server has stopped accepting connections"),
]


@pytest.mark.parametrize(("seen", "sentence"), NAMED, ids=[s for _, s in NAMED])
def test_a_server_that_is_no_more_is_named_and_fails_the_test(seen, sentence):
    """How it ended, and why where the kernel or its own log says so."""
    fate = fate_of(seen)
    assert fate.sentence == sentence
    assert fate.fatal


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (
            Seen(silent_ns=12 * S),
            "the server's process lives and accepts connections but had not answered a prompt for 12 s",
        ),
        (
            Seen(silent_ns=12 * S, answers_get=True, lives=False),
            "the server answers a plain GET but had not answered a prompt for 12 s",
        ),
    ],
)
def test_a_server_that_does_not_answer_is_named(seen, sentence):
    """The failed requests have failed the test, where they are more than may be."""
    fate = fate_of(seen)
    assert fate.sentence == sentence
    assert not fate.fatal


WORKERS = "of the server's worker processes ended during the test"


@pytest.mark.parametrize(
    ("seen", "sentence", "fatal"),
    [
        (Seen(workers_ended=1), f"1 {WORKERS}", False),
        (Seen(workers_ended=2, workers_replaced=2), f"2 {WORKERS} and were replaced", False),
        (Seen(workers_ended=2, workers_replaced=1), f"2 {WORKERS} and 1 was replaced", False),
        (
            Seen(workers_ended=1, workers_replaced=1, crashes=1),
            f"1 {WORKERS} and was replaced: 1 line of its log told of a crash",
            True,
        ),
        (
            Seen(workers_ended=1, requests_failed=3, requests_resent=1),
            f"1 {WORKERS}: 3 requests failed, 1 request had to be sent again",
            True,
        ),
        (Seen(workers_ended=1, requests_resent=1, recycled=True), f"1 {WORKERS}", False),
        (
            Seen(silent_ns=5 * S, workers_ended=1, crashes=1),
            f"1 {WORKERS}: 1 line of its log told of a crash",
            True,
        ),
    ],
)
def test_a_worker_process_that_ended_fails_the_test_where_something_was_lost(seen, sentence, fatal):
    """Where nothing was, it may have ended on purpose: it is told."""
    fate = fate_of(seen)
    assert (fate.sentence, fate.fatal) == (sentence, fatal)


@pytest.mark.parametrize(
    "seen",
    [
        Seen(),
        Seen(requests_failed=3, requests_resent=1, crashes=1),
        Seen(listened=12, listens=12, oom_kills=0.0),
        Seen(asked=True, exit="killed by SIGKILL"),
        Seen(asked=True, listened=12, listens=40, ended=True),
        Seen(listened=12, listens=40),  # handed over: the old one still serves what it has
    ],
)
def test_nothing_became_of_a_server_that_was_there_to_the_end(seen):
    """Nor of one that the test itself has ended."""
    assert fate_of(seen) is None


def test_of_several_servers_those_that_ended_are_named():
    """What is fatal to one is not lost among what others did; and nothing is nothing."""
    dead, late = Fate("it ended", True), Fate("it was late", False, mild=True)
    assert fate_of_all([("a:1", late), ("b:2", dead), ("c:3", dead)]) == Fate(
        "b:2: it ended; c:3: it ended", True
    )
    assert fate_of_all([("a:1", late), ("b:2", Fate("lost a worker", False))]) == Fate(
        "a:1: it was late; b:2: lost a worker", False
    )
    assert fate_of_all([("", late)]) == late
    assert fate_of_all([]) is None

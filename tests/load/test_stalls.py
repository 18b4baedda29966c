"""Limits on the first byte and on silence."""

from time import monotonic, sleep

import pytest

from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.load.http import Answer
from pytest_llmserve.load.stalls import StallWatch, look_every_ns, stalled

both = pytest.mark.parametrize("transport", ["sockets", "httpx"], indirect=True)

MS = 1_000_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
FIRST = LoadPlan(users=1, requests=1, first_byte_timeout_ns=100 * MS)
IDLE = LoadPlan(users=1, requests=1, idle_timeout_ns=100 * MS)
BOTH = LoadPlan(users=1, requests=1, first_byte_timeout_ns=100 * MS, idle_timeout_ns=300 * MS)


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def fed(*pieces):
    """An answer fed with (ms, bytes)."""
    answer = Answer()
    for at_ms, data in pieces:
        answer.feed(at_ms * MS, data)
    return answer


@pytest.mark.parametrize(
    ("plan", "sent_ms", "pieces", "now_ms", "why"),
    [
        (FIRST, 0, [], 100, None),
        (FIRST, 0, [], 101, "not a byte within 100 ms of sending"),
        (FIRST, None, [], 101, None),
        (FIRST, 0, [(50, HEAD)], 900, None),
        (IDLE, 0, [], 900, None),
        (IDLE, 0, [(50, HEAD)], 150, None),
        (IDLE, 0, [(50, HEAD)], 151, "nothing for 100 ms"),
        (IDLE, 0, [(50, HEAD), (140, chunk(EVENT))], 240, None),
        (IDLE, 0, [(50, HEAD), (140, chunk(EVENT))], 241, "nothing for 100 ms"),
        (BOTH, 0, [(50, HEAD)], 349, None),
        (BOTH, 0, [(50, HEAD)], 351, "nothing for 300 ms"),
    ],
)
def test_what_is_given_up_and_why(plan, sent_ms, pieces, now_ms, why):
    sent_ns = None if sent_ms is None else sent_ms * MS
    assert stalled(plan, sent_ns, fed(*pieces), now_ms * MS) == why


@pytest.mark.parametrize(
    ("limits", "every_ms"),
    [
        ({}, None),
        ({"first_byte_timeout_ns": 100 * MS}, 10),
        ({"idle_timeout_ns": 60_000 * MS}, 250),
        ({"first_byte_timeout_ns": 2 * MS, "idle_timeout_ns": 500 * MS}, 1),
    ],
)
def test_it_is_looked_for_as_often_as_the_nearest_limit_asks(limits, every_ms):
    """At most a tenth late, at least four times a second, never without a limit."""
    plan = LoadPlan(users=1, requests=1, **limits)
    assert look_every_ns(plan) == (None if every_ms is None else every_ms * MS)


def test_the_watch_looks_when_it_is_time_and_tells_whose_answer_stalls():
    """Without a limit it never does."""
    watch = StallWatch(FIRST)
    answers = {"a": (0, fed()), "b": (50 * MS, fed()), "c": (0, fed((10, HEAD)))}

    def under_way():
        return [(whose, sent_ns, answer) for whose, (sent_ns, answer) in answers.items()]

    assert watch.look(101 * MS, under_way) == [("a", "not a byte within 100 ms of sending")]
    assert watch.due_ns == 111 * MS
    assert watch.look(110 * MS, under_way) == []
    never = StallWatch(LoadPlan(users=1, requests=1))
    assert (never.due_ns, never.look(999_999 * MS, under_way)) == (None, [])


@both
def test_a_server_that_never_begins_is_given_up_at_the_first_byte_limit(raw_server, load):
    """Long before the limit of the whole answer, and the connection is closed."""
    closed = []

    def handle(peer, _):
        raw_server.read_request(peer)
        closed.append(peer.recv(1))

    result = load(raw_server(handle).url, requests=2, first_byte_timeout_ns=200 * MS)
    assert result.by_outcome == {"timed_out": 2}
    assert [r.error for r in result.requests] == ["not a byte within 200 ms of sending"] * 2
    assert all(200 <= r.e2e_ms < 5000 for r in result.requests)
    deadline = monotonic() + 10
    while len(closed) < 2 and monotonic() < deadline:
        sleep(0.01)
    assert closed == [b"", b""], "the server sees that nobody waits any more"


@both
def test_a_server_that_falls_silent_is_given_up_and_one_that_drips_is_not(raw_server, load):
    """The idle limit counts from the last bytes, whatever they are."""

    def handle(peer, number):
        raw_server.read_request(peer)
        peer.sendall(HEAD + chunk(EVENT))
        for _ in range(6 if number == 2 else 1):
            sleep(0.1)
            peer.sendall(chunk(b": alive\n\n"))
        if number == 1:
            peer.recv(1)
        last = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
        peer.sendall(chunk(last) + b"0\r\n\r\n")

    silent, dripping = load(raw_server(handle).url, requests=2, idle_timeout_ns=400 * MS).requests
    assert (silent.outcome, dripping.outcome) == ("timed_out", "ok")
    assert silent.error == "no full answer within the time limit, after 1 token chunk: nothing for 400 ms"
    assert dripping.e2e_ms > 500

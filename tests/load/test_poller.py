"""Both ways to wait for sockets, by the same tests."""

import contextlib
import select
import socket
import time

import pytest

from pytest_llmserve.load.poller import IN, OUT, Poller, gathers, patience_s

KINDS = [name for name in ("epoll", "poll") if hasattr(select, name)]


@pytest.fixture(params=KINDS)
def poller(request, monkeypatch):
    if request.param == "poll" and hasattr(select, "epoll"):
        monkeypatch.delattr(select, "epoll")
    with contextlib.closing(Poller()) as made:
        yield made


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_ready_sockets_are_told_with_what_they_are_ready_for(poller, pair):
    ours, theirs = pair
    poller.register(ours.fileno(), IN)
    assert poller.wait(0) == []
    theirs.send(b"x")
    assert poller.wait(1.0) == [(ours.fileno(), IN)]
    poller.modify(ours.fileno(), IN | OUT)
    assert poller.wait(1.0) == [(ours.fileno(), IN | OUT)]


def test_a_closed_socket_is_told_no_more(poller, pair):
    """Else the loop would never sleep again."""
    ours, theirs = pair
    poller.register(ours.fileno(), IN)
    theirs.send(b"x")
    number = ours.fileno()
    ours.close()
    poller.forget(number)
    assert poller.wait(0) == []


needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")


class Clock:
    """Passes as told."""

    def __init__(self):
        self.now_ns = 0

    def __call__(self):
        return self.now_ns


@pytest.fixture
def busy():
    """A poller that has seen so many packets of patient sockets that it waits for them."""
    clock = Clock()
    with contextlib.closing(Poller(clock)) as made, contextlib.ExitStack() as stack:
        made.patience_s = 0.002
        ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
        made.register(ours.fileno(), IN)
        assert made.patient(ours.fileno())
        theirs.send(b"x")
        for _ in range(256):
            assert made.wait(1.0) == [(ours.fileno(), IN)]
        clock.now_ns = 100_000_000  # 2560 packets a second
        assert made.wait(1.0)
        for _ in range(256):
            made.wait(1.0)
        ours.recv(1)
        yield made, ours, theirs


def test_a_patient_socket_is_told_at_once_while_packets_are_few(poller, pair):
    """Nothing is gained by waiting then."""
    ours, theirs = pair
    poller.register(ours.fileno(), IN)
    poller.patience_s = 0.002
    poller.patient(ours.fileno())
    theirs.send(b"x")
    assert poller.wait(5.0) == [(ours.fileno(), IN)]


def test_a_socket_made_prompt_again_is_watched_as_before(poller, pair):
    ours, theirs = pair
    poller.register(ours.fileno(), IN)
    if poller.patient(ours.fileno()):
        poller.prompt(ours.fileno())
    poller.modify(ours.fileno(), IN | OUT)
    assert poller.wait(1.0) == [(ours.fileno(), OUT)]
    theirs.send(b"x")
    assert poller.wait(1.0) == [(ours.fileno(), IN | OUT)]


@needs_epoll
def test_patient_sockets_wait_while_packets_are_many_and_others_do_not(busy, pair):
    """A call returns after the patience with what came together; a prompt socket ends it at once."""
    poller, patient, theirs = busy
    assert poller.wait(5.0) == [], "returned at the end of the patience, not of the timeout"
    theirs.send(b"x")
    assert poller.wait(5.0) == [(patient.fileno(), IN)]
    prompt, other = pair
    poller.register(prompt.fileno(), IN)
    other.send(b"x")
    assert sorted(poller.wait(5.0)) == sorted([(prompt.fileno(), IN), (patient.fileno(), IN)])


@needs_epoll
def test_a_closed_patient_socket_is_told_no_more(busy):
    poller, patient, theirs = busy
    theirs.send(b"x")
    patient.close()
    assert poller.wait(0.01) == []


@pytest.mark.parametrize(
    ("packets", "elapsed_ms", "before", "after"),
    [
        (1500, 1000, False, True),
        (1499, 1000, False, False),
        (750, 1000, True, True),
        (749, 1000, True, False),
        (0, 1000, True, False),
        (5, 0, True, False),
        (150, 100, False, True),
    ],
)
def test_packets_are_gathered_when_they_are_many(packets, elapsed_ms, before, after):
    """And no more when they are less than half as many, so that it does not flutter."""
    assert gathers(packets, elapsed_ms * 1_000_000, before) is after


@pytest.mark.parametrize(
    ("answer_ms", "gap_ms", "patience_ms"),
    [
        (0, 0, 0),
        (249, 20, 0),
        (250, 20, 1),
        (1310, 20, 5),
        (60_000, 20, 5),
        (60_000, 14, 4),
        (60_000, 3, 1),
        (60_000, 2.9, 0),
        (-500, 20, 0),
    ],
)
def test_patience_is_a_small_part_of_what_answers_and_gaps_take(answer_ms, gap_ms, patience_ms):
    """What follows an answer waits for it; two events must not come together by it."""
    assert patience_s(answer_ms * 1e6, gap_ms * 1e6) == patience_ms / 1000


@needs_epoll
def test_patience_is_learnt_from_the_streams():
    """Nearly all of it after some dozen of them."""
    with contextlib.closing(Poller()) as poller:
        assert poller.patience_s == 0
        for _ in range(30):
            poller.learn(1_310_000_000, 64)
        assert poller.patience_s == 0.005
        for _ in range(60):
            poller.learn(100_000_000, 64)
        assert poller.patience_s == 0


@needs_epoll
def test_short_timeouts_are_exact():
    """epoll would wait for whole milliseconds: 20 ms for these."""
    with contextlib.closing(Poller()) as poller:
        least = min(_elapsed_s(lambda: [poller.wait(0.0001) for _ in range(20)]) for _ in range(5))
    assert 0.002 <= least < 0.012


def _elapsed_s(action):
    before = time.monotonic()
    action()
    return time.monotonic() - before


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="epoll alone is made finer")
def test_a_wait_is_not_rounded_up_to_a_millisecond():
    """It may return early and be asked again: a request that is due must not wait for the next tick."""
    with contextlib.closing(Poller()) as poller:
        waits = []
        for _ in range(10):
            began = time.monotonic()
            deadline = began + 0.0203
            while (left := deadline - time.monotonic()) > 0:
                assert poller.wait(left) == []
            waits.append(time.monotonic() - began)
    assert min(waits) < 0.0208

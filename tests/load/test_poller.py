"""Both ways to wait for sockets, by the same tests."""

import contextlib
import select
import socket

import pytest

from pytest_llmserve.load.poller import IN, OUT, Poller

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

"""Whose time it was until a request left."""

from __future__ import annotations

import contextlib
import socket

import pytest

from pytest_llmserve.domain.units import NS_PER_MS
from pytest_llmserve.load.connection import Connection, User
from pytest_llmserve.load.flight import Flight


@pytest.mark.parametrize(
    ("opened", "ready", "resent", "delay"),
    [
        pytest.param(10, 20, False, 7, id="kept connection: all since the schedule"),
        pytest.param(100, 104, False, 3, id="opened when due: from when it stood"),
        pytest.param(95, 104, False, 3, id="opened ahead, stood late: from when it stood"),
        pytest.param(103, 105, False, 5, id="asked for late: that too is ours"),
        pytest.param(104, 105, True, 2, id="closed under us and sent again: from when it stood"),
    ],
)
def test_the_delay_of_a_send_is_what_is_ours(opened, ready, resent, delay):
    """Due at 100, sent at 107."""
    flight = Flight(1, b"", 0, None, False)
    flight.scheduled_ns, flight.resent = 100, resent
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = Connection((socket.AF_INET, server.getsockname()), None, User(0))
        with contextlib.closing(connection):
            connection.opened_ns, connection.ready_ns = opened, ready
            assert connection.delay_ns(flight, 107) == delay


@pytest.mark.parametrize(
    ("opening_ms", "within_ms"),
    [
        pytest.param(0, 100, id="near: a scheduler's whim"),
        pytest.param(200, 400, id="far: a round trip, as its opening took"),
        pytest.param(5000, 1000, id="slow to open: a full queue of connections, not a longer way"),
    ],
)
def test_a_close_counts_as_an_idle_one_within_a_round_trip_of_the_send(opening_ms, within_ms):
    """Later the server has had time to read the request, and closed upon it: that is a failure."""
    flight = Flight(1, b"", 0, None, False)
    flight.sent_ns = 10**10
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = Connection((socket.AF_INET, server.getsockname()), None, User(0))
        with contextlib.closing(connection):
            connection.served = 1
            connection.opened_ns, connection.ready_ns = 0, opening_ms * NS_PER_MS
            assert connection.closed_unread(flight, flight.sent_ns + within_ms * NS_PER_MS)
            assert not connection.closed_unread(flight, flight.sent_ns + within_ms * NS_PER_MS + 1)

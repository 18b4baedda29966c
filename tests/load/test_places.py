"""Places of an open loop, each with a connection to one server."""

from __future__ import annotations

from pytest_llmserve.load.places import Places

KEPT = object()


def test_a_request_takes_a_place_that_is_connected_to_its_server():
    """The one used last; a place of another server is left to it."""
    places = Places(most=10, servers=2)
    for server in (0, 1, 0):
        places.expect(server)
    taken = [places.take(server) for server in (0, 1, 0)]
    assert [place.server for place in taken] == [0, 1, 0]
    assert places.busy == 3
    for place in taken:
        place.connection = KEPT
        places.free(place)
    places.expect(1)
    places.expect(0)
    assert places.take(1) is taken[1]
    assert places.take(0) is taken[2]


def test_connections_are_opened_for_the_server_that_is_asked_next():
    """As many as are expected there and not at hand, within the tries and the most."""
    places = Places(most=3, servers=2)
    for server in (0, 1, 1):
        places.expect(server)
    opened = list(places.to_open(3))
    assert [place.server for place in opened] == [0, 1, 1]
    for place in opened:
        place.connection = KEPT
    assert list(places.to_open(3)) == []
    places.expect(0)
    assert list(places.to_open(3)) == []  # three are open


def test_a_lost_connection_leaves_a_place_for_any_server():
    places = Places(most=1, servers=2)
    places.expect(0)
    place = places.take(0)
    places.expect(1)
    assert places.take(1) is None
    places.free(place)
    places.expect(1)
    assert places.take(1) is place
    assert place.server == 1

"""Names to addresses."""

from __future__ import annotations

import socket
import threading
import time

import msgspec
import pytest

from pytest_llmserve.domain.addresses import Address, addresses_of, attempts, connect_error, look_up, resolve
from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.domain.target import target_from_url


def row(port, host="127.0.0.1"):
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


@pytest.fixture
def ports():
    """(a port where nobody listens, another, one where somebody does)."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket() as deaf,
        socket.socket() as other,
    ):
        for each in (deaf, other):
            each.bind(("127.0.0.1", 0))
        yield [each.getsockname()[1] for each in (deaf, other, listening)]


def test_number_is_its_own_address():
    """A numeric host is one address, whatever listens there."""
    assert resolve("127.0.0.1", 9) == ((socket.AF_INET, ("127.0.0.1", 9)),)


@pytest.mark.parametrize("turned", [False, True])
def test_the_address_that_takes_a_connection_comes_first(monkeypatch, ports, turned):
    """As with "localhost", often ::1 and 127.0.0.1 while the server listens on one of them."""
    rows = [row(ports[0]), row(ports[2]), row(ports[0])]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: rows[::-1] if turned else rows)
    assert [address[1] for _, address in resolve("name", 1)] == [ports[2], ports[0]]


def test_order_stays_when_nothing_listens(monkeypatch, ports):
    """Without a server the system's order is kept; what sends to it then says what is wrong."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [row(ports[1]), row(ports[0])])
    assert [address[1] for _, address in resolve("name", 1)] == [ports[1], ports[0]]


def test_unknown_name(monkeypatch):
    """Told with the way out."""

    def lookup(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", lookup)
    with pytest.raises(ServerUnusable) as caught:
        resolve("nowhere", 9)
    assert str(caught.value) == (
        "host 'nowhere' is not known ([Errno -2] Name or service not known):"
        " check the endpoint's URL and this machine's name service"
    )


def test_a_name_that_cannot_be_written_is_unknown():
    """A label of more than 63 letters is no name."""
    with pytest.raises(ServerUnusable, match=r"^host 'a{70}' is not known \("):
        resolve("a" * 70, 9)


def test_a_silent_name_service_does_not_hold_us_up(monkeypatch):
    """The look-up has a deadline of its own; the system's may be minutes."""
    end = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: end.wait(20))
    begun = time.monotonic()
    with pytest.raises(ServerUnusable) as caught:
        look_up("name", 9, limit_s=0.2)
    assert time.monotonic() - begun < 10
    end.set()
    assert str(caught.value) == (
        "host 'name': the name service did not answer within 0.2 s:"
        " check the endpoint's URL and this machine's name service"
    )


def test_each_address_tried_is_named_with_its_error(monkeypatch, ports, tmp_path):
    """So that the reader sees which of a name's addresses is the wrong one."""
    addresses = ((socket.AF_INET, ("127.0.0.1", ports[0])), (socket.AF_INET, ("127.0.0.2", ports[2])))
    assert attempts(addresses, 5) == "127.0.0.1: connection refused; 127.0.0.2: connection refused"
    listening = (socket.AF_INET, ("127.0.0.1", ports[2]))
    assert attempts((listening,), 5) == "127.0.0.1: takes connections"
    where = str(tmp_path / "s")
    assert attempts(((socket.AF_UNIX, where),), 5) == f"{where}: no such file or directory"


def test_an_address_that_swallows_connections_has_a_limit():
    """A listener whose queue is full answers nothing."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        time.sleep(0.05)
        found = connect_error((socket.AF_INET, listener.getsockname()), 0.2)
    assert found == "no connection within 0.2 s"


def test_a_unix_socket_is_its_own_address():
    """Nothing is looked up."""
    target = target_from_url("http+unix://%2Frun%2Fserver.sock/v1")
    assert addresses_of(target) == ((socket.AF_UNIX, "/run/server.sock"),)


@pytest.mark.parametrize("address", [(1, "/run/s.sock"), (2, ("127.0.0.1", 9)), (10, ("fe80::1", 9, 0, 3))])
def test_an_address_travels_to_the_workers_unchanged(address):
    """The zone of an IPv6 address is its fourth part, and is not lost."""
    assert msgspec.json.decode(msgspec.json.encode(address), type=Address) == address
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(address), type=Address) == address

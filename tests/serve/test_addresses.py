"""Names to addresses."""

from __future__ import annotations

import socket

import pytest

from pytest_llmserve.domain.errors import ServerUnusable
from pytest_llmserve.serve.addresses import local_address, resolve


def test_number_is_its_own_address():
    """A numeric host is one address, whatever listens there."""
    assert resolve("127.0.0.1", 9) == ((socket.AF_INET, ("127.0.0.1", 9)),)


def test_address_that_takes_a_connection_comes_first(monkeypatch):
    """localhost may be two addresses; the one with the server behind it leads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        rows = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
            for host in ("127.0.0.2", "127.0.0.1", "127.0.0.2")
        ]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: rows)
        assert [address[0] for _, address in resolve("twofold", port)] == ["127.0.0.1", "127.0.0.2"]


def test_order_stays_when_nothing_listens(monkeypatch):
    """Without a server the system's order is kept."""
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 9)) for host in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: rows)
    assert [address[0] for _, address in resolve("twofold", 9)] == ["127.0.0.2", "127.0.0.1"]


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("127.8.8.8", True), ("192.0.2.1", False)],
)
def test_own_addresses(host, local):
    """Loopback is this machine; an address for documentation (RFC 5737) is not."""
    assert local_address(host) is local


def test_own_interface_is_local(monkeypatch):
    """An address that can be bound is an interface's own."""
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("0.0.0.0", 0))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: rows)
    assert local_address("me")


def test_unknown_name(monkeypatch):
    """A name that is not known is not local, and cannot be resolved: told with the way out."""

    def lookup(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", lookup)
    assert not local_address("nowhere")
    with pytest.raises(ServerUnusable) as caught:
        resolve("nowhere", 9)
    assert str(caught.value) == (
        "host 'nowhere' is not known ([Errno -2] Name or service not known):"
        " check the endpoint's URL and this machine's name service"
    )

"""Which addresses are ours."""

from __future__ import annotations

import socket

import pytest

from pytest_llmserve.serve.addresses import local_address


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


def test_an_unknown_name_is_not_local(monkeypatch):
    """What cannot be looked up is not said to be here."""

    def lookup(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", lookup)
    assert not local_address("nowhere")

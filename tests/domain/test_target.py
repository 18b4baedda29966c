"""The endpoint's URL, read and written."""

from __future__ import annotations

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.trust import Trust

HINT = "give one like http://127.0.0.1:8000 or https://host/path"
UNIX_HINT = "give one like http+unix://%2Frun%2Fserver.sock/v1, the socket's whole path with %2F for /"


@pytest.mark.parametrize(
    ("url", "shown", "host", "port", "path", "authority"),
    [
        ("http://Server.test/v1/", "http://server.test/v1", "server.test", 80, "/v1", "server.test"),
        ("https://h", "https://h", "h", 443, "", "h"),
        ("https://h:80", "https://h:80", "h", 80, "", "h:80"),
        (" http://127.0.0.1:8000 ", "http://127.0.0.1:8000", "127.0.0.1", 8000, "", "127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000", "::1", 8000, "", "[::1]:8000"),
        ("http://[fe80::1%25Eth0]:9", "http://[fe80::1%25Eth0]:9", "fe80::1%Eth0", 9, "", "[fe80::1]:9"),
        ("http://[fe80::1%eth0]", "http://[fe80::1%25eth0]", "fe80::1%eth0", 80, "", "[fe80::1]"),
    ],
)
def test_a_url_is_taken_apart(url, shown, host, port, path, authority):
    """A zone stays on this machine: no Host header carries it (RFC 6874)."""
    target = target_from_url(url)
    assert (target.url, target.host, target.port, target.path) == (shown, host, port, path)
    assert (target.authority, target.server_name) == (authority, host.partition("%")[0])
    assert target.socket_path is None


@pytest.mark.parametrize(
    ("url", "socket_path", "path", "shown"),
    [
        (
            "http+unix://%2Ftmp%2FServer.sock/v1/",
            "/tmp/Server.sock",
            "/v1",
            "http+unix://%2Ftmp%2FServer.sock/v1",
        ),
        ("HTTP+UNIX://%2fa%20b%3A1%40c", "/a b:1@c", "", "http+unix://%2Fa%20b%3A1%40c"),
        ("http+unix://%2Ftmp%2F%C3%A9.sock", "/tmp/é.sock", "", "http+unix://%2Ftmp%2F%C3%A9.sock"),
    ],
)
def test_a_unix_socket_stands_for_the_host(url, socket_path, path, shown):
    """As requests-unixsocket writes it; the Host header is localhost."""
    target = target_from_url(url)
    assert (target.socket_path, target.path, target.url) == (socket_path, path, shown)
    assert (target.scheme, target.authority, target.origin) == ("http", "localhost", "http://localhost")
    assert repr(target) == f"Target(url={shown!r}, api='auto', model=None)"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nowhere", f"endpoint 'nowhere' is not an http or https URL; {HINT}"),
        ("ftp://x", f"endpoint 'ftp://x' is not an http or https URL; {HINT}"),
        ("http://", f"endpoint 'http://' is not an http or https URL; {HINT}"),
        ("https+unix://%2Fx", f"endpoint 'https+unix://%2Fx' is not an http or https URL; {HINT}"),
        (
            "http://me:secret@x",
            "endpoint URL holds a user or password: use --llm-api-key-env or --llm-header instead",
        ),
        (
            "http://me:secret/of-mine@x",
            "endpoint URL holds a user or password: use --llm-api-key-env or --llm-header instead",
        ),
        ("http://x?key=1", "endpoint 'http://x?***' has a query or fragment; give it without"),
        ("http://x#key", "endpoint 'http://x#***' has a query or fragment; give it without"),
        (
            "http+unix://%2Fx?a=1",
            "endpoint 'http+unix://%2Fx?***' has a query or fragment; give it without",
        ),
        (
            "http+unix:///run/server.sock",
            f"endpoint 'http+unix:///run/server.sock' does not name a socket; {UNIX_HINT}",
        ),
        (
            "http+unix://server.sock",
            f"endpoint 'http+unix://server.sock' does not name a socket; {UNIX_HINT}",
        ),
        ("http+unix://%2Fa%00b", f"endpoint 'http+unix://%2Fa%00b' does not name a socket; {UNIX_HINT}"),
    ],
)
def test_what_is_no_endpoint_says_what_is_one(url, message):
    """Each fault with what to write instead."""
    with pytest.raises(SetupError) as caught:
        target_from_url(url)
    assert str(caught.value) == message


def test_a_port_that_is_none_is_told():
    with pytest.raises(SetupError, match=r"^endpoint 'http://x:y' is not a URL \(Port could not be cast"):
        target_from_url("http://x:y")


@pytest.mark.parametrize("platform_limit", [107, 103])
def test_the_longest_socket_path_is_the_systems(platform_limit, monkeypatch):
    """One byte more, and connect would fail without saying why."""
    monkeypatch.setattr("pytest_llmserve.domain.target._LONGEST_SOCKET_PATH", platform_limit)
    longest = "%2F" + "a" * (platform_limit - 1)
    assert len(target_from_url(f"http+unix://{longest}").socket_path) == platform_limit
    with pytest.raises(SetupError) as caught:
        target_from_url(f"http+unix://{longest}b")
    assert str(caught.value) == (
        f"endpoint 'http+unix://{longest}b': the socket's path has {platform_limit + 1} bytes,"
        f" the system takes {platform_limit}: let the server listen at a shorter one"
    )


def test_the_systems_authorities_are_trusted_unless_told_otherwise():
    assert target_from_url("https://h").trust == Trust(
        ca=None, insecure=False, client_cert=None, client_key=None
    )

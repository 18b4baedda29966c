"""TLS and IPv6."""

import socket
import time

import pytest
import trustme

from pytest_llmserve.load.addresses import pick_address
from pytest_llmserve.load.prompts import nonce

MS = 1_000_000
both = pytest.mark.parametrize("transport", ["sockets", "httpx"], indirect=True)


@pytest.fixture
def issue(tmp_path):
    """``issue(host)`` -> (authority file, certificate file, key file)."""

    def make(host):
        authority = trustme.CA()
        issued = authority.issue_cert(host)
        names = [tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem")]
        authority.cert_pem.write_to_path(names[0])
        for blob in issued.cert_chain_pems:
            blob.write_to_path(names[1], append=True)
        issued.private_key_pem.write_to_path(names[2])
        return [str(name) for name in names]

    return make


@pytest.fixture
def certificate(issue):
    """(authority file, certificate file, key file) for 127.0.0.1."""
    return issue("127.0.0.1")


def test_tls_keeps_the_kernels_stamps(mock_server, load, certificate, monkeypatch):
    """Trusted by the environment's authority; stamps as exact as without TLS."""
    authority, *pair = certificate
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    server = mock_server("--tls", *pair, "--ttft-ms", 30, "--itl-ms", 5, "--tokens", 4)
    result = load(server.url, users=2, requests=10)
    assert (len(result.ok), result.error_rate, result.generator.clock) == (10, 0.0, "kernel")
    assert result.generator.reopened == 0, "connections are kept under TLS too"
    rows = {row["nonce"]: row for row in server.log_rows(10)}
    for record in result.requests:
        wrote = rows[nonce("5eed0000", record.id)]["token_ns"]
        assert len(record.token_ns) == len(wrote) == 4
        assert record.token_ns[0] > wrote[0] - 1 * MS
    assert 29 < result.ttft_ms.p50 < 100


def test_spare_connections_are_kept_under_tls(mock_server, load, certificate, monkeypatch):
    """The session tickets that follow a handshake are no reason to close what was opened ahead of need."""
    authority, *pair = certificate
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    server = mock_server("--tls", *pair, "--ttft-ms", 5, "--tokens", 2)
    result = load(server.url, rate=30.0, arrival="constant", requests=40)
    assert (result.by_outcome, result.generator.reopened) == ({"ok": 40}, 0)


@both
def test_a_large_prompt_under_tls(mock_server, load, certificate, monkeypatch):
    authority, *pair = certificate
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    server = mock_server("--tls", *pair, "--ttft-ms", 1, "--tokens", 1)
    assert load(server.url, ["x" * 2_000_000], users=1, requests=2).error_rate == 0.0


@both
def test_tls_connections_closed_after_each_answer_are_no_failure(mock_server, load, certificate, monkeypatch):
    authority, *pair = certificate
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    server = mock_server("--tls", *pair, "--close-after-answer", "--ttft-ms", 1, "--tokens", 1)
    result = load(server.url, users=2, requests=10)
    assert (len(result.ok), result.error_rate) == (10, 0.0)
    assert result.generator.reopened > 0


@both
def test_a_truncated_answer_under_tls_is_cut_off(mock_server, load, certificate, monkeypatch):
    authority, *pair = certificate
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    server = mock_server("--tls", *pair, "--truncate-after", 2)
    assert load(server.url, users=1, requests=1).by_outcome == {"cut_off": 1}


@both
def test_an_untrusted_certificate_is_refused_with_its_reason(mock_server, load, certificate):
    server = mock_server("--tls", *certificate[1:])
    (record,) = load(server.url, users=1, requests=1).requests
    assert (record.outcome, record.error) == (
        "refused",
        "TLS handshake: unable to get local issuer certificate",
    )


@both
def test_a_certificate_of_another_host_is_refused(mock_server, load, issue, monkeypatch):
    authority, *pair = issue("elsewhere.test")
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    (record,) = load(mock_server("--tls", *pair).url, users=1, requests=1).requests
    reason = "IP address mismatch, certificate is not valid for '127.0.0.1'."
    assert (record.outcome, record.error) == ("refused", f"TLS handshake: {reason}")


@both
def test_a_server_without_tls_is_refused(raw_server, load):
    def handle(peer, number):
        peer.recv(1000)
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    (record,) = load(raw_server(handle).url.replace("http:", "https:"), users=1, requests=1).requests
    assert (record.outcome, record.sent_ns) == ("refused", None)
    assert record.error.startswith("TLS handshake: ")


@both
def test_a_server_that_leaves_during_the_handshake_is_refused(raw_server, load):
    url = raw_server(lambda peer, number: peer.recv(1000)).url.replace("http:", "https:")
    (record,) = load(url, users=1, requests=1).requests
    assert record.outcome == "refused"
    assert record.error in {
        "TLS handshake: the server closed the connection",
        "TLS handshake: Connection reset by peer",
    }


@both
def test_a_handshake_that_never_ends_times_out(raw_server, load):
    url = raw_server(lambda peer, number: time.sleep(3)).url.replace("http:", "https:")
    (record,) = load(url, users=1, requests=1, connect_timeout_ns=400 * MS).requests
    expected = ("refused", "TLS handshake: not done within 400 ms of connecting")
    assert (record.outcome, record.error) == expected


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


@ipv6
@both
def test_ipv6(mock_server, load):
    server = mock_server("--host", "::1", "--ttft-ms", 1)
    assert load(f"http://[::1]:{server.port}", users=1, requests=3).error_rate == 0.0


def two_addresses(first, second):
    """A name that stands for a port of 127.0.0.1 where nobody listens and one where somebody does."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (first, second)]


@pytest.mark.parametrize("turned", [False, True])
def test_of_a_names_addresses_the_one_that_answers_is_taken(monkeypatch, turned):
    """As with "localhost", often ::1 and 127.0.0.1 while the server listens on one of them."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        ports = [deaf.getsockname()[1], listening.getsockname()[1]]
        rows = two_addresses(*(reversed(ports) if turned else ports))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
        assert pick_address("name", 1) == (socket.AF_INET, ("127.0.0.1", ports[1]))


def test_when_no_address_answers_the_first_is_taken(monkeypatch):
    """The run itself then says what is wrong."""
    with socket.socket() as deaf, socket.socket() as deaf_too:
        for each in (deaf, deaf_too):
            each.bind(("127.0.0.1", 0))
        rows = two_addresses(deaf.getsockname()[1], deaf_too.getsockname()[1])
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
        assert pick_address("name", 1) == (socket.AF_INET, deaf.getsockname())


def test_an_address_that_answers_nowhere_is_still_an_address():
    family, (host, _port) = pick_address("127.0.0.1", 9)
    assert (family, host) == (socket.AF_INET, "127.0.0.1")

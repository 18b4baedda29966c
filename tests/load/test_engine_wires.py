"""TLS, IPv6 and Unix sockets."""

import socket
import ssl
import tempfile
import time

import pytest
import trustme

from pytest_llmserve.domain.marks import nonce
from pytest_llmserve.domain.trust import Trust

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
        "TLS handshake: certificate not trusted (unable to get local issuer certificate):"
        " give its authority with --llm-ca FILE, or leave the check out with --llm-insecure",
    )


@both
def test_a_certificate_of_another_host_is_refused(mock_server, load, issue, monkeypatch):
    authority, *pair = issue("elsewhere.test")
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    (record,) = load(mock_server("--tls", *pair).url, users=1, requests=1).requests
    reason = (
        "certificate of another host (IP address mismatch, certificate is not valid for '127.0.0.1'):"
        " name in the endpoint's URL a host that it is for"
    )
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


both = pytest.mark.parametrize("transport", ["sockets", "httpx"], indirect=True)


@both
def test_the_authority_may_be_an_option(mock_server, load, certificate):
    """Trust travels to the workers as file names; nothing is in the environment."""
    authority, *pair = certificate
    server = mock_server("--tls", *pair, "--ttft-ms", 1, "--tokens", 1)
    assert load(server.url, users=1, requests=3, trust=Trust(ca=authority)).error_rate == 0.0


@both
def test_without_the_check_any_certificate_will_do(mock_server, load, issue):
    """Of an unknown authority, for another host."""
    server = mock_server("--tls", *issue("elsewhere.test")[1:], "--ttft-ms", 1, "--tokens", 1)
    assert load(server.url, users=1, requests=3, trust=Trust(insecure=True)).error_rate == 0.0


BODY = b'{"choices": [{"message": {"content": "hello all"}}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


@pytest.fixture
def tls_server(raw_server):
    """``tls_server(context)`` -> its https URL; every request gets ANSWER."""

    def start(context):
        def handle(peer, number):
            with context.wrap_socket(peer, server_side=True) as secure:
                while raw_server.read_request(secure):
                    secure.sendall(ANSWER)

        return raw_server(handle).url.replace("http:", "https:")

    return start


def server_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate[1:])
    return context


@both
def test_a_client_certificate_is_shown_to_a_server_that_asks(tls_server, load, certificate, transport):
    context = server_context(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate[0])
    url, (authority, cert, key) = tls_server(context), certificate
    shown = load(url, users=1, requests=2, trust=Trust(ca=authority, client_cert=cert, client_key=key))
    assert [r.outcome for r in shown.requests] == ["ok", "ok"]
    (record,) = load(url, users=1, requests=1, trust=Trust(ca=authority)).requests
    assert record.outcome == "reset"
    if transport == "sockets":  # httpx does not pass the server's alert on
        assert record.error == "TLS: the server asks for a client certificate: give --llm-client-cert FILE"


@pytest.mark.parametrize(("host", "named"), [("localhost", "localhost"), ("127.0.0.1", None)])
def test_the_host_is_named_in_the_handshake_unless_it_is_an_address(tls_server, load, issue, host, named):
    """Server Name Indication knows names only (RFC 6066, 3); a server with several certificates needs it."""
    certificate, seen = issue(host), []
    context = server_context(certificate)
    context.sni_callback = lambda session, name, context: seen.append(name)
    url = tls_server(context).replace("127.0.0.1", host)
    assert load(url, users=1, requests=1, trust=Trust(ca=certificate[0])).error_rate == 0.0
    assert seen == [named]


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


def link_local():
    """An own address with a zone, and the zone; or None."""
    try:
        with open("/proc/net/if_inet6") as table:
            rows = [line.split() for line in table]
    except OSError:
        return None
    found = [(bytes.fromhex(row[0]), row[5]) for row in rows if row[3] == "20" and row[0].startswith("fe80")]
    return next(((socket.inet_ntop(socket.AF_INET6, raw), zone) for raw, zone in found), None)


@pytest.mark.skipif(link_local() is None, reason="no interface of this machine has a link-local address")
def test_an_ipv6_address_with_a_zone(raw_server, load):
    """Without its zone a link-local address leads nowhere; the Host header does not carry it."""
    address, zone = link_local()
    seen = []

    def handle(peer, number):
        while request := raw_server.read_request(peer):
            seen.append(request)
            peer.sendall(ANSWER)

    server = raw_server(handle, host=f"{address}%{zone}")
    port = server.port
    assert load(f"http://[{address}%25{zone}]:{port}", users=1, requests=2).error_rate == 0.0
    assert f"\r\nHost: [{address}]:{port}\r\n".encode() in seen[0]


@pytest.fixture
def socket_path():
    """A short one: pytest's own folders may be longer than a socket's path can be."""
    with tempfile.TemporaryDirectory(prefix="llmserve-") as folder:
        yield f"{folder}/s"


def test_a_unix_socket(mock_server, load, socket_path):
    """Connections are kept; stamps are those of the reads, for such a socket has none."""
    server = mock_server("--unix", socket_path, "--ttft-ms", 20, "--itl-ms", 2, "--tokens", 5)
    result = load(server.url, users=4, requests=20)
    assert (len(result.ok), result.error_rate, result.generator.clock) == (20, 0.0, "user")
    assert result.generator.reopened == 0
    assert 19 < result.ttft_ms.p50 < 150
    assert {len(record.token_ns) for record in result.requests} == {5}


@both
def test_a_large_prompt_over_a_unix_socket(mock_server, load, socket_path):
    server = mock_server("--unix", socket_path, "--ttft-ms", 1, "--tokens", 1)
    assert load(server.url, ["x" * 2_000_000], users=1, requests=2).error_rate == 0.0


@both
def test_a_unix_socket_where_nobody_listens_is_refused(load, socket_path):
    url = f"http+unix://{socket_path.replace('/', '%2F')}"
    (record,) = load(url, users=1, requests=1).requests
    assert (record.outcome, record.error) == ("refused", "No such file or directory")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(socket_path)
        (record,) = load(url, users=1, requests=1).requests
    assert (record.outcome, record.error) == ("refused", "Connection refused")


@pytest.mark.parametrize("transport", ["httpx"], indirect=True)
def test_a_unix_socket_through_httpx_has_no_proxy(mock_server, load, socket_path, monkeypatch):
    """Its stamps are httpx's; connections are kept."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server = mock_server("--unix", socket_path, "--ttft-ms", 20, "--itl-ms", 2, "--tokens", 5)
    result = load(server.url, users=4, requests=20)
    assert (len(result.ok), result.error_rate, result.generator.clock) == (20, 0.0, "user")
    assert result.generator.reopened == 0
    assert 19 < result.ttft_ms.p50 < 250


def test_a_unix_socket_whose_queue_is_full_refuses(load, socket_path):
    """TCP would wait for room in the queue; a Unix socket says so at once."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path)
        listener.listen(0)
        url = f"http+unix://{socket_path.replace('/', '%2F')}"
        result = load(url, users=4, requests=4, timeout_ns=300 * MS)
    assert "Resource temporarily unavailable" in {record.error for record in result.requests}
    assert set(result.by_outcome) == {"refused", "timed_out"}

"""The environment's proxy is taken by the httpx transport, and by it alone; h2 is not needed for it."""

import select
import socket

import pytest
import trustme

from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.load import engine

MS = 1_000_000
LIMIT_S = 30.0
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Proxy:
    """Forwards requests with a whole URL, opens tunnels, or refuses; `seen` holds the heads it was sent."""

    def __init__(self, refuse=b""):
        self.refuse = refuse
        self.seen = []

    def __call__(self, client, number):
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(65536)
            if not data:
                return
            head += data
        self.seen.append(head)
        if self.refuse:
            client.sendall(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % self.refuse)
            return
        method, where, _ = head.split(b"\r\n")[0].split(b" ")
        tunnel = method == b"CONNECT"
        authority = where if tunnel else where.split(b"/")[2]
        host, _, port = authority.decode().rpartition(":")
        with socket.create_connection((host, int(port)), LIMIT_S) as server:
            if tunnel:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                server.sendall(head.replace(b"http://" + authority, b"", 1))
            self.both_ways(client, server, b"" if tunnel else b"http://" + authority)

    def both_ways(self, client, server, origin):
        while True:
            for source in select.select([client, server], [], [], LIMIT_S)[0]:
                data = source.recv(65536)
                if not data:
                    return
                if source is client:
                    server.sendall(data.replace(origin, b"", 1) if origin else data)
                else:
                    client.sendall(data)

    def first_lines(self):
        return [head.split(b"\r\n")[0].decode() for head in self.seen]


@pytest.fixture
def proxy(raw_server, monkeypatch):
    """``proxy(refuse)``: started, and named by the environment; `.handle` is the `Proxy`."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def start(refuse=b"", credentials=""):
        handle = Proxy(refuse)
        server = raw_server(handle)
        server.handle = handle
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, server.url.replace("//", "//" + credentials))
        return server

    return start


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """(certificate file, key file) for 127.0.0.1, trusted."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    return tmp_path / "cert.pem", tmp_path / "key.pem"


only_httpx = pytest.mark.parametrize("transport", ["httpx"], indirect=True)


@only_httpx
def test_requests_go_through_the_proxy(proxy, mock_server, load):
    """The proxy sees each user's requests by their whole URL; connections are kept."""
    server, through = mock_server("--ttft-ms", 2, "--tokens", 3), proxy()
    result = load(server.url, users=2, requests=8)
    assert (len(result.ok), result.error_rate) == (8, 0.0)
    assert {r.text for r in result.requests} == {"red green blue "}
    whole = f"POST {server.url}/v1/chat/completions HTTP/1.1"
    assert through.handle.first_lines() == [whole, whole]
    assert len(server.log_rows(8)) == 8


@only_httpx
def test_https_goes_through_a_tunnel(proxy, mock_server, load, pair):
    """The proxy sees where to, and nothing of what; stamps are those of the request, not of the tunnel."""
    server = mock_server("--tls", *pair, "--ttft-ms", 30, "--tokens", 3)
    through = proxy()
    result = load(server.url, users=1, requests=3)
    assert (len(result.ok), result.error_rate) == (3, 0.0)
    assert through.handle.first_lines() == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"]
    assert all(r.scheduled_ns <= r.sent_ns < r.first_byte_ns <= r.first_token_ns for r in result.requests)
    assert 29 < result.ttft_ms.p50 < 200


@only_httpx
def test_a_proxys_credentials_are_those_of_its_url(proxy, mock_server, load):
    through = proxy(credentials="me:secret@")
    assert load(mock_server("--ttft-ms", 1).url, users=1, requests=1).error_rate == 0.0
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0" in through.handle.seen[0]


@only_httpx
def test_no_proxy_is_kept(proxy, mock_server, load, monkeypatch):
    through = proxy()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert load(mock_server("--ttft-ms", 1).url, users=1, requests=1).error_rate == 0.0
    assert through.connections == 0


def test_sockets_take_no_proxy(proxy, mock_server, load):
    """A forgotten variable does not lead measured requests elsewhere."""
    through = proxy()
    assert load(mock_server("--ttft-ms", 1).url, users=1, requests=2).error_rate == 0.0
    assert through.connections == 0


@only_httpx
def test_a_tunnel_that_is_refused_is_no_connection(proxy, load):
    proxy(refuse=b"403 Forbidden")
    (record,) = load("https://127.0.0.1:9", users=1, requests=1).requests
    assert (record.outcome, record.error, record.sent_ns) == ("refused", "proxy: 403 Forbidden", None)


@only_httpx
def test_a_refusal_of_a_plain_request_is_its_answer(proxy, load):
    """The proxy answers in the server's place."""
    proxy(refuse=b"502 Bad Gateway")
    (record,) = load("http://127.0.0.1:9", users=1, requests=1).requests
    assert (record.outcome, record.status) == ("http_5xx", 502)


@only_httpx
def test_a_proxy_that_is_not_there_is_no_connection(load, proxy, monkeypatch):
    proxy().close()
    (record,) = load("https://127.0.0.1:9", users=1, requests=1).requests
    assert (record.outcome, record.error) == ("refused", "Connection refused")


@only_httpx
def test_a_tunnel_that_never_opens_times_out(raw_server, load, proxy, monkeypatch):
    silent = raw_server(lambda peer, number: peer.recv(1000) and peer.recv(1000))
    proxy()
    monkeypatch.setenv("HTTPS_PROXY", silent.url)
    (record,) = load("https://127.0.0.1:9", users=1, requests=1, connect_timeout_ns=400 * MS).requests
    said = "proxy: no way to the server within 400 ms of connecting"
    assert (record.outcome, record.error) == ("refused", said)


@only_httpx
def test_a_proxy_that_cannot_be_used_makes_the_run_void(proxy, load, monkeypatch):
    """Told with the way out, and without its password."""
    proxy()
    monkeypatch.setenv("HTTP_PROXY", "odd://me:secret@127.0.0.1:9")
    with pytest.raises(GeneratorError) as caught:
        load("http://127.0.0.1:9", users=1, requests=1)
    assert str(caught.value).startswith(
        "load worker 0 ended with 1; the run is void: the proxy that the environment names cannot be used: "
    )
    assert str(caught.value).endswith(
        " Change HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or list the server in NO_PROXY"
    )
    assert "secret" not in str(caught.value)


@only_httpx
def test_without_h2_http1_is_spoken(mock_server, load, pair, monkeypatch):
    """The extra is for HTTP/2 alone: what else the transport does needs no further package."""
    monkeypatch.setattr(engine, "_WORKER", "import sys; sys.modules['h2'] = None; " + engine._WORKER)
    result = load(mock_server("--tls", *pair, "--ttft-ms", 1).url, users=1, requests=2)
    assert (len(result.ok), result.generator.protocols) == (2, ["HTTP/1.1"])

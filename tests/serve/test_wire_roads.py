"""The roads to the server: TLS, Unix sockets, addresses with a zone, never a proxy."""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
import time

import msgspec
import pytest
import trustme

from pytest_llmserve.domain.errors import ServerUnusable, SetupError
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.trust import Trust
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.domain.wrong_length import WrongLength
from pytest_llmserve.serve.curl import shown_request
from pytest_llmserve.serve.endpoint import Endpoint
from pytest_llmserve.serve.exact import head_bytes
from pytest_llmserve.serve.ready import wait_ready

SENT = "/my%20app/%C3%BCber"
ASK = {"properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}
ANSWER = json.dumps(
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
)


def script(asked, connection):
    """Everything an opening asks for; answers in one piece."""
    if asked.path == "/v1/models":
        connection.answer(200, json.dumps({"object": "list", "data": [{"id": "m"}]}))
    elif asked.method == "POST":
        connection.answer(200, ANSWER)
    else:
        connection.answer(200, "{}")


@pytest.fixture
def ready():
    """``ready(target)`` -> the endpoint that `wait_ready` opened; closed with the test."""
    made = []

    def open_it(target, limit_s=10):
        made.append(wait_ready(target, limit_ns=round(limit_s * NS_PER_S)))
        return made[-1]

    yield open_it
    for endpoint in made:
        endpoint.close()


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def ca(authority, tmp_path):
    """The authority's certificate as a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def tls(authority, host="127.0.0.1", asking=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    if asking:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


def with_trust(server, **trust):
    return msgspec.structs.replace(server.target, trust=Trust(**trust))


def test_a_companys_authority_is_an_option(scripted, ready, authority, ca):
    """Readiness, the questions that find out the API, and the first real one."""
    server = scripted(script, tls(authority))
    target = msgspec.structs.replace(with_trust(server, ca=ca), api="auto", model=None)
    endpoint = ready(target)
    assert (endpoint.api, endpoint.model, endpoint.generate("Hi").text) == ("openai-chat", "m", "Hi")


def test_without_the_check_any_certificate_will_do(scripted, ready, authority):
    server = scripted(script, tls(authority, "elsewhere.test"))
    assert ready(with_trust(server, insecure=True)).generate("Hi").ok


def test_a_client_certificate_is_shown(scripted, ready, authority, ca, tmp_path):
    issued = authority.issue_cert("client@example.test")
    cert = str(tmp_path / "client.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(cert)
    server = scripted(script, tls(authority, asking=True))
    assert ready(with_trust(server, ca=ca, client_cert=cert)).generate("Hi").ok


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (
            "127.0.0.1",
            "certificate not trusted (unable to get local issuer certificate):"
            " give its authority with --llm-ca FILE, or leave the check out with --llm-insecure",
        ),
        (
            "elsewhere.test",
            "certificate of another host (IP address mismatch, certificate is not valid for '127.0.0.1'):"
            " name in the endpoint's URL a host that it is for",
        ),
    ],
)
def test_a_certificate_that_is_refused_is_told_at_once(scripted, authority, ca, host, said):
    """No waiting until the limit: another try would end the same."""
    server = scripted(script, tls(authority, host))
    target = with_trust(server, ca=ca) if host == "elsewhere.test" else server.target
    begun = time.monotonic()
    with pytest.raises(ServerUnusable) as caught:
        wait_ready(target, limit_ns=60 * NS_PER_S)
    assert str(caught.value) == f"{server.url}: TLS: {said}"
    assert time.monotonic() - begun < 10


def test_an_authority_that_cannot_be_read_is_the_users_fault(scripted, authority):
    server = scripted(script, tls(authority))
    with pytest.raises(SetupError) as caught:
        wait_ready(with_trust(server, ca="/no/such.pem"), limit_ns=10 * NS_PER_S)
    assert str(caught.value) == "--llm-ca /no/such.pem: cannot be read (no such file or directory)"


@pytest.fixture
def socket_path():
    """A short one: pytest's own folders may be longer than a socket's path can be."""
    with tempfile.TemporaryDirectory(prefix="llmserve-") as folder:
        yield f"{folder}/s"


def test_a_unix_socket(scripted, ready, socket_path):
    """Found out, asked, its connection kept; the Host header is localhost."""
    server = scripted(script, socket_path=socket_path)
    endpoint = ready(msgspec.structs.replace(server.target, api="auto", model=None))
    reply = endpoint.generate("Hi")
    assert (reply.text, endpoint.url) == ("Hi", f"http+unix://{socket_path.replace('/', '%2F')}")
    assert {asked.headers["host"] for asked in server.asked} == {"localhost"}
    assert server.connections == 1
    assert 0 < reply.ttft_ms < 10_000


def test_a_broken_kept_unix_connection_is_opened_again(scripted, socket_path):
    """As with TCP: a close while idle is no fault."""

    def once(asked, connection):
        script(asked, connection)
        connection.close()

    server = scripted(once, socket_path=socket_path)
    endpoint = Endpoint(server.target)
    assert [endpoint.generate("Hi").outcome for _ in range(3)] == ["ok", "ok", "ok"]
    assert server.connections == 3
    endpoint.close()


def test_a_fresh_unix_connection_that_breaks_is_the_servers_fault(scripted, socket_path):
    """The request is not sent twice: it may have had an effect."""
    server = scripted(lambda asked, connection: connection.close(), socket_path=socket_path)
    endpoint = Endpoint(server.target)
    assert endpoint.generate("Hi").outcome == "reset"
    assert len(server.asked) == 1
    endpoint.close()


def test_a_unix_socket_that_is_not_there_is_told(socket_path):
    target = target_from_url(f"http+unix://{socket_path.replace('/', '%2F')}")
    with pytest.raises(ServerUnusable) as caught:
        wait_ready(target, limit_ns=round(0.3 * NS_PER_S))
    assert str(caught.value) == (
        f"{target.url} could not be reached (no such file or directory) for 300 ms: start the server first,"
        " or let --llm-serve 'CMD --port {port}' start it"
    )


def test_every_address_of_a_name_is_named_when_none_takes_a_connection(monkeypatch):
    """Which of them is wrong, the reader sees at a glance."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        rows = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.1", "127.0.0.2")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
        with pytest.raises(ServerUnusable) as caught:
            wait_ready(target_from_url(f"http://twofold.test:{port}"), limit_ns=round(0.3 * NS_PER_S))
    assert str(caught.value) == (
        f"http://twofold.test:{port} could not be reached"
        " (127.0.0.1: connection refused; 127.0.0.2: connection refused) for 300 ms: start the server first,"
        " or let --llm-serve 'CMD --port {port}' start it"
    )


def test_an_address_keeps_its_zone_and_the_host_header_does_not(scripted, ready, monkeypatch):
    """A zone is this machine's affair (RFC 6874, 4)."""
    server = scripted(script)
    asked_for = []
    look_up = socket.getaddrinfo

    def redirected(host, port=None, *_, **__):
        asked_for.append(host)
        return look_up("127.0.0.1", port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", redirected)
    target = target_from_url(f"http://[fe80::1%25eth0]:{server.port}")
    assert ready(msgspec.structs.replace(target, api="openai-chat", model="m")).generate("Hi").ok
    assert {str(host) for host in asked_for} == {"fe80::1%eth0"}
    assert {asked.headers["host"] for asked in server.asked} == {f"[fe80::1]:{server.port}"}


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_of_the_environment_comes_between(scripted, ready, monkeypatch, name):
    """It would be measured too, and nobody would see it."""
    proxy = scripted(lambda asked, connection: connection.answer(502, "proxy"))
    monkeypatch.setenv(name, proxy.url)
    monkeypatch.setenv("NO_PROXY", "")
    assert ready(scripted(script).target).generate("Hi").ok
    assert proxy.asked == []


def test_a_path_is_sent_percent_encoded_on_every_road(scripted, ready):
    """By each client, and as people send it again; a path that the server describes too."""
    described = {"post": {"requestBody": {"content": {"application/json": {"schema": ASK}}}}}
    document = json.dumps({"paths": {"/my app/über": described}})

    def script(asked, connection):
        if asked.path == "/openapi.json":
            connection.answer(200, document)
        else:
            connection.answer(200 if asked.path == SENT else 404, ANSWER)

    server = scripted(script)
    endpoint = ready(msgspec.structs.replace(server.target, api="auto", model=None))
    assert (endpoint.api, endpoint.target.path) == ("json", "/my app/über")
    assert endpoint.send(WrongLength(b"{}", 2)) == "ok"
    request = endpoint.request({"prompt": "x"})
    assert head_bytes(request, []).startswith(f"POST {SENT} HTTP/1.1\r\n".encode())
    assert shown_request(endpoint.target, request).startswith(f"curl {server.url}{SENT} ")
    assert [asked.path for asked in server.asked if asked.method == "POST"] == [SENT, SENT]

"""Asking for a page of metrics: what is sent where, by when it is over, and what is said when it fails."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.trust import Trust
from pytest_llmserve.observe.metrics_page import PageFault, address_of, get_page, own_page

PAGE = b"tgi_queue_size 7\n"


class Pages(BaseHTTPRequestHandler):
    """A page, and every way in which there is none. Keeps connections open unless told not to."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        path = self.path.partition("?")[0]
        if path == "/moved":
            self.answer(307, b"", Location="/metrics")
        elif path == "/elsewhere":
            self.answer(307, b"", Location="http://other.example/metrics")
        elif path == "/large":
            self.answer(200, b"x" * 1_000_001)
        elif path == "/drip":
            self.drip()
        elif path == "/cut":
            self.answer(200, PAGE, length=100)
            self.close_connection = True
        else:
            self.answer(200 if path in {"/metrics", "/metrics/"} else 404, PAGE)

    def answer(self, status, body, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self):
        try:
            for _ in range(200):
                self.wfile.write(b"H")
                time.sleep(0.02)
        except OSError:
            self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def pages(serving):
    """The server; ``asked`` has (path, headers) of each request."""
    with serving(Pages) as server:
        yield server


def fault(url, limit_s=5.0, **more):
    with pytest.raises(PageFault) as caught:
        get_page(address_of(url), limit_s, **more)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("", "/metrics"),
        ("/metrics", "/metrics"),
        ("/metrics/", "/metrics/"),
        ("/metrics?a=1", "/metrics?a=1"),
    ],
)
def test_a_page_is_got_as_its_url_says(pages, given, asked):
    """A bare host means /metrics. The connection is not kept: it would hold one of the server's threads."""
    assert get_page(address_of(pages.url + given), 5.0) == PAGE
    path, headers = pages.asked[-1]
    assert path == asked
    assert headers["Connection"] == "close"
    assert headers["Host"] == pages.url.removeprefix("http://")


def test_a_page_that_has_moved_within_its_origin_is_followed(pages):
    """As frameworks do that mount it at a folder; not to another host, which may not be trusted."""
    assert get_page(address_of(f"{pages.url}/moved"), 5.0) == PAGE
    said = f"{pages.url}/elsewhere answered 307: it is at http://other.example/metrics"
    assert fault(f"{pages.url}/elsewhere") == said


def test_the_endpoint_s_headers_go_to_its_own_origin_alone(pages):
    """A key is never sent elsewhere; nor is the client's certificate."""
    endpoint = target_from_url(f"{pages.url}/v1")
    key = (("Authorization", "Bearer secret"), ("X-Ünicode", "ü"))
    trust = Trust(ca="/ca.pem", client_cert="/client.pem")
    own = own_page(
        endpoint.__class__(scheme="http", host="127.0.0.1", port=pages.server_port, headers=key[:1])
    )
    assert own.url == f"{pages.url}/metrics"
    get_page(own, 5.0)
    assert pages.asked[-1][1]["Authorization"] == "Bearer secret"
    secure = target_from_url("https://host.example:8443/v1")
    secure = secure.__class__(scheme="https", host="host.example", port=8443, headers=key, trust=trust)
    same = address_of("https://HOST.example:8443/metrics", secure)
    assert (same.headers, same.trust) == (key, trust)
    for url in (
        "https://host.example/metrics",
        "http://host.example:8443/metrics",
        "https://b.example:8443/m",
    ):
        other = address_of(url, secure)
        assert (other.headers, other.trust) == ((), Trust(ca="/ca.pem"))
    assert "secret" not in repr(own)


def test_an_answer_that_drips_ends_at_the_deadline(pages):
    """The limit is for all of it, not for each read."""
    began = time.monotonic()
    assert fault(f"{pages.url}/drip", 0.3) == f"{pages.url}/drip did not answer within 0.3 s"
    assert time.monotonic() - began < 3


@pytest.fixture
def hang():
    """Three addresses at which a connection is neither taken nor refused: the queue is full."""
    with contextlib.ExitStack() as held:
        listeners = [held.enter_context(socket.socket()) for _ in range(3)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for _ in range(3):
                waiting = held.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
        yield [listener.getsockname() for listener in listeners]


def test_all_addresses_of_a_host_share_one_deadline(pages, hang, monkeypatch):
    """And one that hangs leaves time for the next."""
    found = [*hang[:1], pages.server_address]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", at) for at in found]
    )
    url = "http://host.example/metrics"
    assert get_page(address_of(url), 1.0) == PAGE
    found = hang
    began = time.monotonic()
    assert fault(url, 0.4) == f"{url} did not answer within 0.4 s"
    assert time.monotonic() - began < 0.8


def test_a_name_service_that_hangs_is_not_waited_for(monkeypatch):
    """It knows no limit of its own."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(10))
    said = "http://host.example/metrics did not answer within 0.05 s"
    assert fault("http://host.example/metrics", 0.05) == said
    over.set()


def test_a_page_that_cannot_be_had_says_why(pages):
    """Each names the URL; a query, which may hold a token, is left out."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, so no one else gets it, and nobody listens
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/metrics"
        assert fault(nobody) == f"{nobody}: connection refused"
    assert fault(f"{pages.url}/none?token=secret") == f"{pages.url}/none answered 404"
    assert fault(f"{pages.url}/cut") == f"{pages.url}/cut ended its answer 83 bytes early"
    assert fault(f"{pages.url}/large", most_bytes=1_000_000) == f"{pages.url}/large sends more than 1 MB"
    https = pages.url.replace("http:", "https:")
    assert fault(f"{https}/metrics").startswith(f"{https}/metrics: ")
    assert fault("http://nowhere.invalid/metrics") == "http://nowhere.invalid/metrics: the host is not known"


def test_the_page_of_an_endpoint_at_a_unix_socket(tmp_path):
    """Asked for through the socket."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + PAGE)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = own_page(target_from_url(f"http+unix://{str(path).replace('/', '%2F')}/v1"))
        assert get_page(address, 5.0) == PAGE
        thread.join(10)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:9400", "ftp://host/metrics", "http://", "http://host:port/metrics"]
)
def test_what_is_no_url_is_the_users_fault(url):
    """Named with the option."""
    with pytest.raises(SetupError) as caught:
        address_of(url)
    assert str(caught.value) == (
        f"--llm-metrics-url {url!r}: give an http:// or https:// URL without user and password,"
        " such as http://127.0.0.1:8000/metrics"
    )


def test_a_url_with_a_password_is_not_repeated():
    """It may stand in a log for ever."""
    with pytest.raises(SetupError, match="--llm-metrics-url: give an http") as caught:
        address_of("http://user:hush@host/metrics")
    assert "hush" not in str(caught.value)

"""Options of the way to the server: TLS and Unix sockets, from the command line to the report."""

from __future__ import annotations

import tempfile

import psutil
import pytest
import trustme

LOAD = """
def test_it(llm_load, llm_endpoint):
    assert llm_endpoint.generate("Hi").ok
    result = llm_load("Say hi.", users=2, requests=10)
    assert result.error_rate == 0, result.requests[0].error
"""
NOTHING = "def test_it(llm_endpoint):\n    assert llm_endpoint.generate('Hi').ok\n"
SECURE = "https://127.0.0.1:1"
NOT_CHECKED = "TLS certificate not checked"


@pytest.fixture
def secure(mock_server, tmp_path):
    """An https server whose authority, ca.pem beside the suite, nobody knows."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    pair = tmp_path / "cert.pem", tmp_path / "key.pem"
    return mock_server("--tls", *pair, "--ttft-ms", 2, "--itl-ms", 1, "--tokens", 5)


def test_an_authority_holds_for_load_and_questions_alike(suite, secure, tmp_path):
    """One option; the report says that the certificate was checked."""
    run = suite(LOAD, "--llm-endpoint", secure.url, "--llm-ca", tmp_path / "ca.pem")
    assert run.exit == 0, run.text
    assert run.tests[0]["server"]["tls"] == "TLS certificate checked"
    assert NOT_CHECKED not in run.text


def test_a_relative_authority_in_the_ini_counts_from_where_pytest_started(suite, secure, tmp_path):
    """As reports do."""
    (suite.pytester.path / "company.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
    suite.pytester.makeini("[pytest]\nllm_ca = company.pem")
    assert suite(LOAD, "--llm-endpoint", secure.url).exit == 0


def test_an_unknown_authority_names_the_option(suite, secure):
    """No figure is taken from a server that may be another."""
    run = suite(NOTHING, "--llm-endpoint", secure.url)
    assert run.exit == 1
    assert (
        f"{secure.url}: TLS: certificate not trusted (unable to get local issuer certificate):"
        " give its authority with --llm-ca FILE, or leave the check out with --llm-insecure"
    ) in run.text


def test_without_the_check_it_is_said_everywhere(suite, secure):
    """In the first lines, the summary and the report."""
    run = suite(LOAD, "--llm-endpoint", secure.url, "--llm-insecure")
    assert run.exit == 0, run.text
    assert f"llmserve: {secure.url}, api auto, {NOT_CHECKED}" in run.result.outlines
    assert f"{NOT_CHECKED} (--llm-insecure)" in run.result.outlines
    assert run.tests[0]["server"]["tls"] == NOT_CHECKED


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            ["--llm-insecure"],
            "--llm-insecure: only for an https:// endpoint, and this one is not: leave it out",
        ),
        (
            ["--llm-ca=x", "--llm-client-cert=y"],
            "--llm-ca, --llm-client-cert: only for an https:// endpoint, and this one is not: leave it out",
        ),
    ],
)
@pytest.mark.parametrize(
    "server",
    [
        ["--llm-endpoint=http://127.0.0.1:1"],
        ["--llm-endpoint=embedded"],
        ["--llm-endpoint=http+unix://%2Fx"],
        ["--llm-serve=python3 x.py {port}"],
    ],
    ids=["http", "embedded", "unix", "serve"],
)
def test_trust_is_for_https_alone(suite, server, options, fault):
    """Else the user would believe in a check that is never made."""
    run = suite(NOTHING, *server, *options)
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {fault}" in run.text


@pytest.mark.parametrize("key", ["llm_ca = nowhere.pem", "llm_insecure = true"])
def test_trust_in_the_ini_waits_for_an_https_endpoint(suite, quick, key):
    """A project may set its authority once and still test a server on the developer's machine."""
    suite.pytester.makeini(f"[pytest]\n{key}")
    run = suite(LOAD, "--llm-endpoint", quick.url)
    assert run.exit == 0, run.text
    assert NOT_CHECKED not in run.text
    assert run.tests[0]["server"]["tls"] is None


def test_the_repeat_command_has_no_trust_that_would_be_refused(suite, quick):
    """What the ini keeps for https stays out where the server is not https: the command must run."""
    suite.pytester.makeini("[pytest]\nllm_ca = company.pem\nllm_insecure = true\nllm_client_cert = me.pem")
    body = "@pytest.mark.resources(rss_mb=1)\ndef test_it(llm_endpoint):\n    pass"
    run = suite(body, "--llm-endpoint", quick.url)
    assert run.failure("test_it")[-1] == f"repeat: pytest test_suite.py::test_it --llm-endpoint={quick.url}"


def test_the_repeat_command_has_the_trust_of_an_https_server(suite, secure, tmp_path):
    body = "@pytest.mark.resources(rss_mb=1)\ndef test_it(llm_endpoint):\n    pass"
    run = suite(body, "--llm-endpoint", secure.url, "--llm-ca", tmp_path / "ca.pem")
    assert run.failure("test_it")[-1].endswith(f" --llm-endpoint={secure.url} --llm-ca={tmp_path / 'ca.pem'}")


def test_contradicting_trust_is_a_usage_error(suite):
    run = suite(NOTHING, "--llm-endpoint", SECURE, "--llm-insecure", "--llm-ca=x")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --llm-ca and --llm-insecure contradict each other: leave one of them out" in run.text


def test_a_file_that_is_not_there_is_a_usage_error(suite):
    """At the start, not when the first test asks for the server."""
    run = suite(NOTHING, "--llm-endpoint", SECURE, "--llm-ca=gone.pem")
    assert run.exit == pytest.ExitCode.USAGE_ERROR
    missing = suite.pytester.path / "gone.pem"
    assert f"ERROR: --llm-ca {missing}: cannot be read (no such file or directory)" in run.text


def test_a_unix_socket_is_tested_and_watched(suite, mock_server):
    """Load, questions, and on Linux the process behind it."""
    with tempfile.TemporaryDirectory(prefix="llmserve-") as folder:
        server = mock_server("--unix", f"{folder}/s", "--ttft-ms", 2, "--itl-ms", 1, "--tokens", 5)
        run = suite(LOAD, "--llm-endpoint", server.url)
    assert run.exit == 0, run.text
    told = run.tests[0]["server"]
    assert told["url"] == f"http+unix://{folder.replace('/', '%2F')}%2Fs"
    assert told["pid"] == (server.pid if psutil.LINUX else None)
    assert run.tests[0]["runs"][0]["generator"]["clock"] == "user"


def test_no_proxy_of_the_environment_comes_between(suite, quick, monkeypatch):
    """It would be measured too."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert suite(LOAD, "--llm-endpoint", quick.url).exit == 0

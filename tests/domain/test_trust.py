"""Which certificates are trusted, and what is said of those that are not: handshakes in memory."""

from __future__ import annotations

import contextlib
import datetime
import ssl

import pytest
import trustme

from pytest_llmserve.domain.errors import SetupError
from pytest_llmserve.domain.trust import NOT_CHECKED, Trust, tls_context, tls_fault, tls_text


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def pem(authority, tmp_path):
    """The authority's certificate as a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def client_files(authority, tmp_path):
    """(certificate, key) of a client, as files."""
    issued = authority.issue_cert("client@example.test")
    cert, key = tmp_path / "client.pem", tmp_path / "client.key"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    return cert, key


def server_context(authority, host="server.test", **issued):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, **issued).configure_cert(context)
    return context


def shake_hands(client_context, server, host="server.test"):
    """A handshake and a byte from the server; raises what the client would see."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    peer = server.wrap_bio(to_server, to_client, server_side=True)

    def answer():
        peer.do_handshake()
        peer.write(b"x")

    for _ in range(3):
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        with contextlib.suppress(ssl.SSLError):  # the server refuses: its alert is on the way
            answer()
    return client.read(1)


def sentence(client_context, server, host="server.test"):
    with pytest.raises(ssl.SSLError) as caught:
        shake_hands(client_context, server, host)
    return tls_fault(caught.value)


def test_a_file_of_authorities_is_trusted(authority, pem):
    assert shake_hands(tls_context(Trust(ca=str(pem))), server_context(authority)) == b"x"


def test_a_file_may_hold_several(authority, pem):
    both = trustme.CA().cert_pem.bytes() + pem.read_bytes()
    pem.write_bytes(both)
    assert shake_hands(tls_context(Trust(ca=str(pem))), server_context(authority)) == b"x"


def test_an_authority_in_the_middle_is_enough(authority, tmp_path):
    """Many companies hand out the authority that signs their servers, not the root above it."""
    middle = authority.create_child_ca()
    middle.cert_pem.write_to_path(tmp_path / "middle.pem")
    context = tls_context(Trust(ca=str(tmp_path / "middle.pem")))
    assert shake_hands(context, server_context(middle)) == b"x"


@pytest.mark.parametrize("trust", [Trust(), Trust(insecure=True)])
def test_http_1_1_is_what_we_speak(authority, trust, monkeypatch, pem):
    """A server that knows HTTP/2 too is told so in the handshake."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    server = server_context(authority)
    server.set_alpn_protocols(["h2", "http/1.1"])
    chosen = []
    server.sni_callback = lambda session, name, context: chosen.append(session)
    shake_hands(tls_context(trust), server)
    assert chosen[0].selected_alpn_protocol() == "http/1.1"


def test_a_folder_is_read_whole_whatever_the_files_are_called(authority, pem):
    """Not only names that c_rehash made; what is no certificate in it is passed over."""
    pem.rename(pem.with_name("company"))
    pem.with_name("README").write_text("authorities of the company")
    assert shake_hands(tls_context(Trust(ca=str(pem.parent))), server_context(authority)) == b"x"


def test_another_authority_is_not_trusted(authority, tmp_path):
    """A file of ours replaces the system's authorities, and names the option."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    context = tls_context(Trust(ca=str(tmp_path / "other.pem")))
    assert len(context.get_ca_certs()) == 1
    assert sentence(context, server_context(authority)) == (
        "certificate not trusted (unable to get local issuer certificate):"
        " give its authority with --llm-ca FILE, or leave the check out with --llm-insecure"
    )


def test_a_certificate_of_another_host(authority, pem):
    assert sentence(tls_context(Trust(ca=str(pem))), server_context(authority), "other.test") == (
        "certificate of another host (Hostname mismatch, certificate is not valid for 'other.test'):"
        " name in the endpoint's URL a host that it is for"
    )


def test_an_expired_certificate(authority, pem):
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    assert sentence(tls_context(Trust(ca=str(pem))), server_context(authority, not_after=long_ago)) == (
        "certificate not valid now (certificate has expired): renew it, or set this machine's clock"
    )


def test_insecure_takes_any_certificate(authority):
    """Unknown authority, other host: both pass."""
    assert shake_hands(tls_context(Trust(insecure=True)), server_context(authority), "other.test") == b"x"


def test_the_systems_own_authorities_are_the_default(authority, pem, monkeypatch):
    """As SSL_CERT_FILE names them; host and certificate are checked."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = tls_context(Trust())
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert shake_hands(context, server_context(authority)) == b"x"


def asking(authority):
    """A server that asks for a client's certificate."""
    context = server_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


def test_a_client_certificate_is_shown(authority, pem, client_files):
    cert, key = map(str, client_files)
    context = tls_context(Trust(ca=str(pem), client_cert=cert, client_key=key))
    assert shake_hands(context, asking(authority)) == b"x"


def test_a_client_certificate_with_its_key_in_one_file(authority, pem, client_files):
    cert, key = client_files
    cert.write_bytes(cert.read_bytes() + key.read_bytes())
    context = tls_context(Trust(ca=str(pem), client_cert=str(cert)))
    assert shake_hands(context, asking(authority)) == b"x"


def test_a_client_certificate_that_is_missing_is_asked_for(authority, pem):
    context = tls_context(Trust(ca=str(pem)))
    wanted = "the server asks for a client certificate: give --llm-client-cert FILE"
    assert sentence(context, asking(authority)) == wanted


def test_errors_without_a_reason_say_what_they_can():
    assert tls_fault(ssl.SSLError(1, "odd")) == "odd"


def fault(**trust):
    with pytest.raises(SetupError) as caught:
        tls_context(Trust(**{name: str(value) for name, value in trust.items()}))
    return str(caught.value)


def test_files_that_are_not_there(tmp_path, client_files):
    gone = tmp_path / "gone.pem"
    unreadable = f"{gone}: cannot be read (no such file or directory)"
    assert fault(ca=gone) == f"--llm-ca {unreadable}"
    assert fault(client_cert=gone) == f"--llm-client-cert {unreadable}"
    assert fault(client_cert=client_files[0], client_key=gone) == f"--llm-client-key {unreadable}"


def test_files_that_hold_something_else(tmp_path, client_files):
    cert, key = client_files
    text, folder = tmp_path / "notes.txt", tmp_path / "empty"
    text.write_text("hello")
    folder.mkdir()
    form = "certificate in PEM form (-----BEGIN CERTIFICATE-----)"
    assert fault(ca=text) == f"--llm-ca {text}: holds no {form}"
    assert fault(ca=folder) == f"--llm-ca {folder}: no file in the folder holds a {form}"
    assert fault(client_cert=text, client_key=key).startswith(
        f"--llm-client-cert {text}: no certificate with its key ("
    )
    assert fault(client_cert=cert).endswith("): give the key's file with --llm-client-key")


def test_a_damaged_certificate_is_named(tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert fault(ca=bad).startswith(f"--llm-ca {bad}: not a certificate (")


def test_a_key_without_its_certificate(client_files):
    assert fault(client_key=client_files[1]) == (
        "--llm-client-key is given without its certificate: give --llm-client-cert FILE"
    )


def test_a_key_of_another_certificate(authority, tmp_path, client_files):
    other = tmp_path / "other.key"
    authority.issue_cert("another.test").private_key_pem.write_to_path(other)
    assert fault(client_cert=client_files[0], client_key=other) == (
        f"--llm-client-key {other}: the key is not that of the certificate in {client_files[0]}"
    )


def test_an_encrypted_key_is_told_and_nobody_is_asked(tmp_path, client_files):
    """OpenSSL would ask for the passphrase at the terminal, in the middle of a test session."""
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key(client_files[1].read_bytes(), None)
    locked = tmp_path / "locked.key"
    passphrase = form.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, passphrase))
    assert fault(client_cert=client_files[0], client_key=locked) == (
        f"--llm-client-key {locked}: the key is encrypted; give one without a passphrase"
    )


@pytest.mark.parametrize(
    ("scheme", "insecure", "text"),
    [("http", True, None), ("https", False, "TLS certificate checked"), ("https", True, NOT_CHECKED)],
)
def test_what_reports_say(scheme, insecure, text):
    assert tls_text(scheme, Trust(insecure=insecure)) == text

"""Whom a TLS connection trusts, and how it shows who we are: files' names, travelling with the target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_llmserve.domain.errors import SetupError

if TYPE_CHECKING:
    import ssl

NOT_CHECKED = "TLS certificate not checked"
"""What every report says of a run with --llm-insecure."""

_BEGIN = (b"-----BEGIN CERTIFICATE-----", b"-----BEGIN TRUSTED CERTIFICATE-----")
# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_NOT_NOW = frozenset({9, 10})
_OTHER_HOST = frozenset({62, 64})


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """How the certificate of an https server is checked.

    Attributes:
        ca: a PEM file, or a folder of them, that is trusted instead of the system's authorities.
        insecure: no certificate is checked.
        client_cert: PEM file with the certificate (chain) shown to a server that asks for one.
        client_key: PEM file with its private key; None when `client_cert` holds it.
    """

    ca: str | None = None
    insecure: bool = False
    client_cert: str | None = None
    client_key: str | None = None


SYSTEM_TRUST = Trust()


def tls_text(scheme: str, trust: Trust) -> str | None:
    """What reports say of the server's certificate; None without TLS."""
    if scheme != "https":
        return None
    return NOT_CHECKED if trust.insecure else "TLS certificate checked"


def tls_context(trust: Trust) -> ssl.SSLContext:
    """Settings for TLS connections.

    Without `ca` the system's authorities are trusted, those of SSL_CERT_FILE and SSL_CERT_DIR where set.

    Raises:
        SetupError: a file cannot be read, or does not hold what it should.
    """
    import ssl

    if trust.client_key is not None and trust.client_cert is None:
        raise SetupError("--llm-client-key is given without its certificate: give --llm-client-cert FILE")
    if trust.insecure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust.ca is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an authority in the middle will do
        _load_authorities(context, trust.ca)
    context.set_alpn_protocols(["http/1.1"])
    if trust.client_cert is not None:
        _load_client(context, trust.client_cert, trust.client_key)
    return context


def tls_fault(error: OSError) -> str:
    """What is wrong with a TLS connection, of its ssl.SSLError, and which step helps where one does."""
    import ssl

    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = getattr(error, "reason", None) or ""  # absent in errors that Python's own code raises
        if "CERTIFICATE_REQUIRED" in reason:
            return "the server asks for a client certificate: give --llm-client-cert FILE"
        return reason.replace("_", " ").lower() or str(error)
    said = error.verify_message.rstrip(".")
    if error.verify_code in _OTHER_HOST:
        return f"certificate of another host ({said}): name in the endpoint's URL a host that it is for"
    if error.verify_code in _NOT_NOW:
        return f"certificate not valid now ({said}): renew it, or set this machine's clock"
    return (
        f"certificate not trusted ({said}): give its authority with --llm-ca FILE,"
        " or leave the check out with --llm-insecure"
    )


def _load_authorities(context: ssl.SSLContext, ca: str) -> None:
    import ssl

    path = Path(ca)
    try:
        files = [path] if not path.is_dir() else sorted(entry for entry in path.iterdir() if entry.is_file())
        holding = [file for file in files if any(begin in file.read_bytes() for begin in _BEGIN)]
    except OSError as error:
        raise SetupError(_unreadable("--llm-ca", ca, error)) from None
    if not holding:
        what = "no file in the folder holds a" if path.is_dir() else "holds no"
        raise SetupError(f"--llm-ca {ca}: {what} certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    for file in holding:
        try:
            context.load_verify_locations(cafile=file)
        except ssl.SSLError as error:
            raise SetupError(f"--llm-ca {file}: not a certificate ({error.reason or error})") from None


def _load_client(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    import ssl

    for flag, name in (("--llm-client-cert", cert), ("--llm-client-key", key)):
        try:
            if name is not None:
                Path(name).read_bytes()  # ssl's own error does not say which of the two files it is
        except OSError as error:
            raise SetupError(_unreadable(flag, name or "", error)) from None

    def no_passphrase() -> str:  # else OpenSSL asks at the terminal
        raise SetupError(f"{where}: the key is encrypted; give one without a passphrase")

    where = f"--llm-client-cert {cert}" if key is None else f"--llm-client-key {key}"
    try:
        context.load_cert_chain(cert, key, password=no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SetupError(f"{where}: the key is not that of the certificate in {cert}") from None
        hint = "give the key's file with --llm-client-key" if key is None else "give both in PEM form"
        raise SetupError(
            f"--llm-client-cert {cert}: no certificate with its key ({error.reason or error}): {hint}"
        ) from None


def _unreadable(flag: str, name: str, error: OSError) -> str:
    return f"{flag} {name}: cannot be read ({(error.strerror or str(error)).lower()})"

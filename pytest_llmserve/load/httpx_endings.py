"""What httpx raises, in the words of this package. Pure."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator

import httpx

from pytest_llmserve.domain.exchange import CLOSED_EARLY, CONNECTION_RESET, NOT_HTTP, Ending
from pytest_llmserve.domain.trust import tls_fault
from pytest_llmserve.load.connection import OURS
from pytest_llmserve.load.flight import NO_CONNECTION

# Where an exchange is, as far as httpx tells.
CONNECTING = "connecting"
PROXYING = "proxying"
HANDSHAKE = "handshake"
REQUESTING = "requesting"

_CLOSED = "the server closed the connection"
_BEFORE = {CONNECTING: "", PROXYING: "proxy: ", HANDSHAKE: "TLS handshake: "}


def ending_of(error: httpx.TransportError, stage: str) -> Ending:
    """How the transport ended, from what httpx raised and how far the exchange had come."""
    if stage != REQUESTING:
        return Ending(NO_CONNECTION, _BEFORE[stage] + _reason(error))
    if isinstance(error, (httpx.RemoteProtocolError, httpx.LocalProtocolError)):
        return _protocol_ending(str(error))
    return Ending(CONNECTION_RESET, _reason(error))


def _protocol_ending(text: str) -> Ending:
    # httpx has one class for "closed early", "not HTTP" and the errors of HTTP/2: the text alone tells.
    if "disconnected" in text or "closed connection" in text:
        return Ending(CLOSED_EARLY, _CLOSED)
    if "ConnectionTerminated" in text:
        return Ending(CLOSED_EARLY, f"the server ended the HTTP/2 connection ({text})")
    if "StreamReset" in text:
        return Ending(CONNECTION_RESET, f"the server reset the HTTP/2 stream ({text})")
    return Ending(NOT_HTTP, f"not HTTP: {text}")


def too_late(stage: str, limit: str) -> Ending:
    """How an attempt to connect ended that ran out of time; `limit` as people read it."""
    if stage == CONNECTING:
        return Ending(NO_CONNECTION, f"no connection within {limit}")
    if stage == PROXYING:
        return Ending(NO_CONNECTION, f"proxy: no way to the server within {limit} of connecting")
    return Ending(NO_CONNECTION, f"TLS handshake: not done within {limit} of connecting")


def own_fault(error: BaseException) -> OSError | None:
    """The system's refusal to give this machine a socket or port, if that is at the bottom of it."""
    return next((e for e in _causes(error) if isinstance(e, OSError) and e.errno in OURS), None)


def closed_beneath(error: httpx.TransportError) -> bool:
    """True for what a server causes by closing a kept connection."""
    if isinstance(error, httpx.ProtocolError):
        return _protocol_ending(str(error)).how == CLOSED_EARLY
    return isinstance(error, (httpx.ReadError, httpx.WriteError, httpx.CloseError))


def _reason(error: httpx.TransportError) -> str:
    """One line for people: the system's own words where the system refused."""
    for cause in _causes(error):
        if isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return _CLOSED
        if isinstance(cause, ssl.SSLError):  # its errno is OpenSSL's, not the system's
            return tls_fault(cause)
        if type(cause).__name__ == "EndOfStream":
            return _CLOSED
        if isinstance(cause, OSError) and cause.errno in errno.errorcode:
            return os.strerror(cause.errno or 0)
        if isinstance(cause, OSError) and cause.strerror:  # a name that is not known
            return cause.strerror
    return str(error) or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it, and so on; of several addresses tried in vain, each."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from _causes(cause)

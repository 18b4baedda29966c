"""What httpx reports, in the words of this package. Pure."""

from __future__ import annotations

import errno
import os
import ssl
from typing import TYPE_CHECKING

from pytest_llmserve.domain.exchange import (
    CLOSED_EARLY,
    CONNECTION_RESET,
    NOT_HTTP,
    TIME_LIMIT,
    Decoded,
    Ending,
)
from pytest_llmserve.domain.outcome import MALFORMED, REFUSED, RESET, TIMED_OUT
from pytest_llmserve.domain.trust import tls_fault

if TYPE_CHECKING:
    import httpx

NOT_CONNECTED = "not_connected"
"""Beside the words of `domain.exchange`: no connection was made, so nothing was sent."""

TLS = "TLS"
"""Begins the sentence of every ending that TLS brought about."""

_OUTCOME = {
    NOT_CONNECTED: REFUSED,
    TIME_LIMIT: TIMED_OUT,
    CONNECTION_RESET: RESET,
    CLOSED_EARLY: RESET,
    NOT_HTTP: MALFORMED,
}


def ending_of(error: httpx.TransportError) -> Ending:
    """How the transport ended, from the error that httpx raised."""
    import httpx

    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return Ending(NOT_CONNECTED, reason(error))
    if isinstance(error, httpx.TimeoutException):
        return Ending(TIME_LIMIT, reason(error))
    if isinstance(error, httpx.RemoteProtocolError):
        # httpx has one class for "closed early" and for "not HTTP", told apart by the text alone.
        closed = "disconnected" in str(error) or "closed connection" in str(error)
        if closed:
            return Ending(CLOSED_EARLY, "the server closed the connection")
        return Ending(NOT_HTTP, f"not HTTP: {error}")
    return Ending(CONNECTION_RESET, reason(error))


def reason(error: BaseException) -> str:
    """One line for people: the system's own words where the system refused."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        if isinstance(cause, ssl.SSLError):  # its errno is OpenSSL's, not the system's
            return f"{TLS}: {tls_fault(cause)}"
        if isinstance(cause, OSError) and cause.errno in errno.errorcode:
            return os.strerror(cause.errno or 0).lower()
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def closed_while_idle(error: httpx.TransportError) -> bool:
    """True for an error that a server causes by closing a connection that lay idle."""
    import httpx

    if isinstance(error, httpx.RemoteProtocolError):
        return ending_of(error).how == CLOSED_EARLY
    return isinstance(error, (httpx.ReadError, httpx.WriteError, httpx.CloseError))


def no_answer(ending: Ending) -> Decoded:
    """What a request was that got not even a status."""
    return Decoded(outcome=_OUTCOME[ending.how], error=ending.detail or None)

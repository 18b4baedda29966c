"""What httpx raises becomes the ends that every transport has, with the system's own words."""

import errno
import os
import socket
import ssl

import httpx
import pytest

from pytest_llmserve.domain.exchange import CLOSED_EARLY, CONNECTION_RESET, NOT_HTTP, Ending
from pytest_llmserve.load.flight import NO_CONNECTION
from pytest_llmserve.load.httpx_endings import (
    CONNECTING,
    HANDSHAKE,
    PROXYING,
    REQUESTING,
    closed_beneath,
    ending_of,
    own_fault,
    too_late,
)


def raised(error, *causes):
    """The error as it arrives: each cause beneath the one before."""
    above = error
    for cause in causes:
        above.__cause__ = cause
        above = cause
    return error


def refused(code):
    return OSError(code, os.strerror(code))


def test_before_a_connection_every_error_is_no_connection():
    error = raised(httpx.ConnectError("All attempts failed"), OSError("x"), refused(errno.ECONNREFUSED))
    assert ending_of(error, CONNECTING) == Ending(NO_CONNECTION, "Connection refused")
    assert ending_of(error, HANDSHAKE) == Ending(NO_CONNECTION, "TLS handshake: Connection refused")
    assert ending_of(httpx.ProxyError("403 Forbidden"), PROXYING) == Ending(
        NO_CONNECTION, "proxy: 403 Forbidden"
    )


def test_of_several_addresses_tried_the_first_reason_is_told():
    both = ExceptionGroup("tried", [refused(errno.ENETUNREACH), refused(errno.ECONNREFUSED)])
    error = raised(httpx.ConnectError("All attempts failed"), OSError("x"), both)
    assert ending_of(error, CONNECTING).detail == "Network is unreachable"


def test_an_unknown_name_is_told():
    error = raised(httpx.ConnectError(""), socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    assert ending_of(error, CONNECTING) == Ending(NO_CONNECTION, "Name or service not known")


def test_the_reasons_of_tls_are_told():
    verify = ssl.SSLCertVerificationError(1, "certificate verify failed")
    verify.verify_message, verify.verify_code = "unable to get local issuer certificate", 20
    assert ending_of(raised(httpx.ConnectError("x"), verify), HANDSHAKE).detail == (
        "TLS handshake: certificate not trusted (unable to get local issuer certificate):"
        " give its authority with --llm-ca FILE, or leave the check out with --llm-insecure"
    )
    ended = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
    assert ending_of(raised(httpx.ConnectError(""), ended), HANDSHAKE).detail == (
        "TLS handshake: the server closed the connection"
    )


@pytest.mark.parametrize(
    ("text", "how", "detail"),
    [
        ("Server disconnected without sending a response.", CLOSED_EARLY, "the server closed the connection"),
        (
            "peer closed connection without sending complete message body (incomplete chunked read)",
            CLOSED_EARLY,
            "the server closed the connection",
        ),
        ("illegal status line: b'SSH-2.0'", NOT_HTTP, "not HTTP: illegal status line: b'SSH-2.0'"),
        (
            "<StreamReset stream_id:1, error_code:2>",
            CONNECTION_RESET,
            "the server reset the HTTP/2 stream (<StreamReset stream_id:1, error_code:2>)",
        ),
        (
            "<ConnectionTerminated error_code:11>",
            CLOSED_EARLY,
            "the server ended the HTTP/2 connection (<ConnectionTerminated error_code:11>)",
        ),
    ],
)
def test_protocol_errors_are_told_apart_by_their_text(text, how, detail):
    assert ending_of(httpx.RemoteProtocolError(text), REQUESTING) == Ending(how, detail)


def test_a_connection_that_breaks_under_a_request_is_a_reset():
    error = raised(httpx.ReadError(""), OSError(), refused(errno.ECONNRESET))
    assert ending_of(error, REQUESTING) == Ending(CONNECTION_RESET, "Connection reset by peer")
    assert ending_of(httpx.ReadError(""), REQUESTING) == Ending(CONNECTION_RESET, "ReadError")


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (CONNECTING, "no connection within 2 s"),
        (PROXYING, "proxy: no way to the server within 2 s of connecting"),
        (HANDSHAKE, "TLS handshake: not done within 2 s of connecting"),
    ],
)
def test_an_attempt_that_runs_out_of_time_says_how_far_it_came(stage, said):
    assert too_late(stage, "2 s") == Ending(NO_CONNECTION, said)


@pytest.mark.parametrize(
    ("code", "ours"), [(errno.EMFILE, True), (errno.EADDRNOTAVAIL, True), (errno.ECONNREFUSED, False)]
)
def test_a_machine_out_of_sockets_is_our_fault(code, ours):
    both = ExceptionGroup("tried", [refused(errno.ECONNREFUSED), refused(code)])
    found = own_fault(raised(httpx.ConnectError("x"), OSError("y"), both))
    assert (found is not None) == ours


@pytest.mark.parametrize(
    ("error", "beneath"),
    [
        (httpx.ReadError(""), True),
        (httpx.WriteError(""), True),
        (httpx.RemoteProtocolError("Server disconnected"), True),
        (httpx.RemoteProtocolError("<ConnectionTerminated error_code:0>"), True),
        (httpx.RemoteProtocolError("illegal status line"), False),
        (httpx.RemoteProtocolError("<StreamReset stream_id:3>"), False),
        (httpx.ConnectError(""), False),
    ],
)
def test_only_what_a_close_causes_is_taken_for_one(error, beneath):
    assert closed_beneath(error) == beneath

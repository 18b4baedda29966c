"""httpx's errors in this package's words."""

from __future__ import annotations

import errno
import ssl

import httpx
import pytest

from pytest_llmserve.domain.exchange import (
    CLOSED_EARLY,
    CONNECTION_RESET,
    NOT_HTTP,
    TIME_LIMIT,
    Ending,
)
from pytest_llmserve.serve.faults import NOT_CONNECTED, closed_while_idle, ending_of, no_answer, reason


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "how", "detail"),
    [
        (
            caused(httpx.ConnectError("All connection attempts failed"), ConnectionRefusedError()),
            NOT_CONNECTED,
            "connection refused",
        ),
        (httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER]"), NOT_CONNECTED, "[SSL: WRONG_VERSION_NUMBER]"),
        (
            caused(httpx.ConnectError(""), ssl.SSLError(1, "[SSL: X] wrong")),
            NOT_CONNECTED,
            "TLS: [SSL: X] wrong",
        ),
        (httpx.ConnectTimeout(""), NOT_CONNECTED, "ConnectTimeout"),
        (httpx.ReadTimeout("slow"), TIME_LIMIT, "slow"),
        (
            caused(httpx.ReadError(""), OSError(errno.ECONNRESET, "x")),
            CONNECTION_RESET,
            "connection reset by peer",
        ),
        (httpx.WriteError("pipe"), CONNECTION_RESET, "pipe"),
        (
            httpx.RemoteProtocolError("Server disconnected without sending a response."),
            CLOSED_EARLY,
            "the server closed the connection",
        ),
        (
            httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body (incomplete chunked read)"
            ),
            CLOSED_EARLY,
            "the server closed the connection",
        ),
        (httpx.RemoteProtocolError("illegal status line"), NOT_HTTP, "not HTTP: illegal status line"),
    ],
)
def test_every_error_has_an_ending(error, how, detail):
    """Each kind of httpx error becomes one word and one line."""
    assert ending_of(error) == Ending(how, detail)


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        (NOT_CONNECTED, "refused"),
        (TIME_LIMIT, "timed_out"),
        (CONNECTION_RESET, "reset"),
        (CLOSED_EARLY, "reset"),
        (NOT_HTTP, "malformed"),
    ],
)
def test_request_without_a_status_has_an_outcome(how, outcome):
    """When not even a status came, the ending alone decides."""
    decoded = no_answer(Ending(how, "why"))
    assert (decoded.outcome, decoded.error) == (outcome, "why")


def test_only_a_close_or_a_reset_can_come_from_an_idle_connection():
    """Bytes that are not HTTP, or a refused connection, are never sent again."""
    assert closed_while_idle(httpx.RemoteProtocolError("Server disconnected without sending a response."))
    assert closed_while_idle(httpx.ReadError(""))
    assert not closed_while_idle(httpx.RemoteProtocolError("illegal status line"))
    assert not closed_while_idle(httpx.ConnectError(""))


def test_reason_without_words_is_the_name():
    """An error without a text still says something."""
    assert reason(httpx.ReadError("")) == "ReadError"

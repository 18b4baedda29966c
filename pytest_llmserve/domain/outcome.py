"""How a request can end. One word per request, never two."""

from __future__ import annotations

OK = "ok"
HTTP_4XX = "http_4xx"
HTTP_5XX = "http_5xx"
REFUSED = "refused"
RESET = "reset"
TIMED_OUT = "timed_out"
CUT_OFF = "cut_off"
MALFORMED = "malformed"
SERVER_ERROR_IN_STREAM = "server_error_in_stream"
DROPPED = "dropped"

OUTCOMES: dict[str, str] = {
    OK: "answered in full",
    HTTP_4XX: "the server answered with a 4xx status",
    HTTP_5XX: "the server answered with a 5xx status",
    REFUSED: "no connection could be made",
    RESET: "the connection broke before the answer began",
    TIMED_OUT: "no full answer within the time limit",
    CUT_OFF: "the answer began and ended early",
    MALFORMED: "the answer is not what the API promises",
    SERVER_ERROR_IN_STREAM: "the server reported an error inside a 200 answer",
    DROPPED: "never sent: the load generator was too late",
}


class Outcome(str):
    """One word of `OUTCOMES`, with what was seen beside it.

    Compares as the word: ``outcome == "ok"``.

    Attributes:
        status: HTTP status, or None when no answer came.
        error: one line for people, or None.
        body: the raw body of the answer.
    """

    status: int | None
    error: str | None
    body: bytes

    def __new__(
        cls, word: str, *, status: int | None = None, error: str | None = None, body: bytes = b""
    ) -> Outcome:
        """Raise ValueError for a word that is not an outcome."""
        if word not in OUTCOMES:
            raise ValueError(f"{word!r} is not an outcome: one of {', '.join(OUTCOMES)}")
        self = super().__new__(cls, word)
        self.status, self.error, self.body = status, error, body
        return self

    @property
    def ok(self) -> bool:
        """True when the request was answered in full."""
        return self == OK

    def __repr__(self) -> str:
        status = "" if self.status is None else f", status={self.status}"
        error = "" if self.error is None else f", error={self.error!r}"
        return f"Outcome({str(self)!r}{status}{error})"

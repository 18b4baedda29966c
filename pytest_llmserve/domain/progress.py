"""How far a load run is, told while it runs."""

from __future__ import annotations

import math

import msgspec

from pytest_llmserve.domain.outcome import DROPPED, OK


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Latencies so far, in milliseconds, nearest rank; a failed request counts as infinitely slow.

    Attributes:
        n: number of values the quantiles are of; NaN quantiles without any.
    """

    p50: float = math.nan
    p99: float = math.nan
    n: int = 0


class LoadProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A load run as of now, without answers that are still to be decoded.

    Warm-up is in no figure but `sent`, `warm_up`, and the rates.

    Attributes:
        elapsed_ns: since the run began.
        total_ns: planned length with warm-up, without the last answers; None when only
            requests bound the run.
        total_requests: planned measured requests, or None.
        sent: requests begun, warm-up and further tries included.
        active: requests under way.
        oldest_ns: for how long the server has had the one that it has had longest; None without one.
        by_outcome: number of ended requests by outcome.
        warm_up: requests that ended in warm-up.
        tokens: output tokens of answered requests; counted when a request ends, and only where
            their number is known.
        requests_per_s, tokens_per_s: of requests answered over the last seconds; NaN at first.
        server_rss_bytes: of the server's processes as read last, or None.
        server_waiting: requests in the server's queue as its metrics said last, or None.
    """

    elapsed_ns: int
    total_ns: int | None = None
    total_requests: int | None = None
    sent: int = 0
    active: int = 0
    oldest_ns: int | None = None
    by_outcome: dict[str, int] = msgspec.field(default_factory=dict)
    warm_up: int = 0
    tokens: int = 0
    requests_per_s: float = math.nan
    tokens_per_s: float = math.nan
    ttft_ms: Quantiles = Quantiles()
    e2e_ms: Quantiles = Quantiles()
    server_rss_bytes: int | None = None
    server_waiting: float | None = None

    @property
    def ended(self) -> int:
        """Requests that are over, however they ended."""
        return sum(self.by_outcome.values())

    @property
    def ok(self) -> int:
        """Requests answered in full."""
        return self.by_outcome.get(OK, 0)

    @property
    def failed(self) -> int:
        """Requests that ended in any other way; those never sent are in `dropped`."""
        return self.ended - self.ok - self.dropped

    @property
    def dropped(self) -> int:
        """Requests never sent because the generator was late."""
        return self.by_outcome.get(DROPPED, 0)

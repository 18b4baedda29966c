"""The formulas. Every figure in a report is made here, from raw records."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from pytest_llmserve.domain.gaps import Gaps, gather
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.units import NS_PER_S

DEFINITIONS: dict[str, str] = {
    "ttft_ms": (
        "time to first token: first chunk with non-empty content, reasoning or tool-call text, minus sent"
    ),
    "itl_ms": "inter-token latency: each gap between chunks that carry tokens",
    "tpot_ms": (
        "time per output token: (last token - first token) / (output tokens - 1), per request; none of a"
        " single token, nor of an answer that came in one piece"
    ),
    "e2e_ms": "end-to-end latency: last byte minus sent",
    "open loop": (
        "with rate, rate_stages or trace, ttft_ms and e2e_ms count from scheduled, so that a request that"
        " had to wait is not reported as fast; ttft_sent_ms and e2e_sent_ms count from sent"
    ),
    "scheduled": "when the plan wanted the request sent",
    "sent": "the socket accepted the request's bytes",
    "output_tokens": "the server's usage field; where absent the number of chunks, marked estimated",
    "percentile": (
        "nearest rank on raw values, all workers together; a failed request counts as infinitely slow"
    ),
    "mean_min_max": "over requests that were answered",
    "throughput": (
        "completions within the steady window: after warm-up and ramp-up, before the last drain; also of"
        " requests that were sent before it"
    ),
    "goodput": "share of requests that meet all limits at once; a failed request meets none",
    "mb": "1,000,000 bytes",
}

QUANTILES: dict[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


class Distribution(msgspec.Struct, frozen=True):
    """Values in milliseconds, sorted, beside the number of failed requests.

    The values are raw, every one of them, in an `array` or, for gaps, in a `Gaps`.
    Quantiles count a failed request as infinitely slow, so a server cannot look fast by
    failing. Without a single value every figure is NaN: no comparison with it holds.
    """

    values_ms: Sequence[float]
    failed: int = 0

    @property
    def n(self) -> int:
        """Number of values, failed requests included."""
        return len(self.values_ms) + self.failed

    def quantile(self, q: float) -> float:
        """Nearest-rank quantile, 0 < q <= 1: the ceil(q*n)-th smallest value."""
        if not self.values_ms:
            return math.inf if self.failed else math.nan
        rank = nearest_rank(q, self.n)
        return self.values_ms[rank - 1] if rank <= len(self.values_ms) else math.inf

    def share_within(self, limit_ms: float) -> float:
        """Share of values at or under a limit."""
        return bisect_right(self.values_ms, limit_ms) / self.n if self.n else math.nan

    @property
    def p50(self) -> float:
        """Median."""
        return self.quantile(0.5)

    @property
    def p90(self) -> float:
        """90th percentile."""
        return self.quantile(0.9)

    @property
    def p95(self) -> float:
        """95th percentile."""
        return self.quantile(0.95)

    @property
    def p99(self) -> float:
        """99th percentile."""
        return self.quantile(0.99)

    @property
    def p999(self) -> float:
        """99.9th percentile."""
        return self.quantile(0.999)

    @property
    def mean(self) -> float:
        """Mean of the requests that were answered."""
        values = self.values_ms
        if not values:
            return math.nan
        return (values.total_ms() if isinstance(values, Gaps) else math.fsum(values)) / len(values)

    @property
    def min(self) -> float:
        """Smallest value."""
        return self.values_ms[0] if self.values_ms else math.nan

    @property
    def max(self) -> float:
        """Largest value among the requests that were answered."""
        return self.values_ms[-1] if self.values_ms else math.nan

    def summary(self) -> dict[str, float | int | None]:
        """The figures of the JSON report; what is not finite becomes None."""
        figures: dict[str, float | int | None] = {"n": self.n}
        for name in ("mean", "min", "max", "p50", "p90", "p95", "p99"):
            value = getattr(self, name)
            figures[name] = round(value, 4) if math.isfinite(value) else None
        return figures

    def __repr__(self) -> str:
        failed = f", failed={self.failed}" if self.failed else ""
        return (
            f"Distribution(n={self.n}{failed}, p50={self.p50:.4g}, p95={self.p95:.4g},"
            f" p99={self.p99:.4g}, max={self.max:.4g} ms)"
        )


def distribution(values_ms: Iterable[float | None], failed: int = 0) -> Distribution:
    """Sort values, leaving out None (a request the figure is not defined for)."""
    return Distribution(array("d", sorted(v for v in values_ms if v is not None)), failed)


def nearest_rank(q: float, n: int) -> int:
    """Rank of quantile q among n values, from 1: ceil(q*n)."""
    # The tiny bite keeps 0.95 * 20 = 19.000000000000004 from becoming rank 20.
    return max(1, math.ceil(q * n - 1e-9))


def itl_ms(records: Iterable[RequestRecord]) -> Distribution:
    """All gaps between the chunks of these answers."""
    return Distribution(gather(record.token_ns for record in records).ordered())


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """Completions within the steady window, NaN when the window is empty.

    Attributes:
        window_s: length of the window.
        tokens_from: "usage", "estimated", or None when some token counts are not known;
            `output_tokens_per_s` is NaN then.
    """

    requests_per_s: float
    output_tokens_per_s: float
    window_s: float
    tokens_from: str | None = None


def throughput(records: Sequence[RequestRecord], start_ns: int, stop_ns: int) -> Throughput:
    """Answered requests that ended, and tokens that arrived, in [start_ns, stop_ns), per second.

    Tokens of a request are spread over its token stamps, so a request that crosses the
    edge of the window counts with the part inside. So give all requests of the run, warm-up too:
    without those under way when the window opens, its beginning would look idle.
    """
    window_s = max(0, stop_ns - start_ns) / NS_PER_S
    if window_s <= 0:
        return Throughput(requests_per_s=math.nan, output_tokens_per_s=math.nan, window_s=0.0)
    ended = sum(1 for r in records if r.ok and r.end_ns is not None and start_ns <= r.end_ns < stop_ns)
    answered = answers_reaching(records, start_ns)
    sources = {r.tokens_from for r in answered or records if r.ok}
    tokens = math.fsum(_tokens_within(r, start_ns, stop_ns) for r in answered)
    known = bool(sources) and None not in sources
    source = "usage" if sources == {"usage"} else "estimated"
    return Throughput(
        requests_per_s=ended / window_s,
        output_tokens_per_s=tokens / window_s if known else math.nan,
        window_s=window_s,
        tokens_from=source if known else None,
    )


def answers_reaching(records: Iterable[RequestRecord], start_ns: int) -> list[RequestRecord]:
    """The answered requests but those that were over before a window began."""
    return [r for r in records if r.ok and r.end_ns is not None and r.end_ns >= start_ns]


def _tokens_within(record: RequestRecord, start_ns: int, stop_ns: int) -> float:
    if not record.token_ns or not record.output_tokens:
        return 0.0
    (inside,) = chunks_between(record, (start_ns, stop_ns))
    return record.output_tokens * inside / len(record.token_ns)


def chunks_between(record: RequestRecord, edges_ns: Sequence[int]) -> list[int]:
    """Number of token chunks in each [edge, next edge)."""
    first_ns, last_ns = record.first_token_ns, record.last_token_ns
    if first_ns is None or last_ns is None:
        return [0] * (len(edges_ns) - 1)
    if not record.token_ns.wide:  # in order then, and as a rule all between two edges
        place = bisect_right(edges_ns, first_ns)
        if place == bisect_right(edges_ns, last_ns):
            inside = len(record.token_ns)
            return [inside if number == place else 0 for number in range(1, len(edges_ns))]
    stamps = sorted(record.token_ns)  # the wall clock behind the stamps may have been set meanwhile
    cuts = [bisect_left(stamps, edge) for edge in edges_ns]
    return [after - before for before, after in pairwise(cuts)]


def within_all(
    record: RequestRecord, ttft_ms: float | None, tpot_ms: float | None, e2e_ms: float | None
) -> bool:
    """True when a request met every limit given. A failed request meets none.

    TPOT is not defined for an answer of one token; such an answer meets its limit. One of
    several tokens without a TPOT has not been seen to meet it.
    """
    if not record.ok:
        return False
    if ttft_ms is not None and (record.ttft_ms is None or record.ttft_ms > ttft_ms):
        return False
    if e2e_ms is not None and (record.e2e_ms is None or record.e2e_ms > e2e_ms):
        return False
    if tpot_ms is None:
        return True
    if record.tpot_ms is None:
        return record.output_tokens is not None and record.output_tokens < 2
    return record.tpot_ms <= tpot_ms

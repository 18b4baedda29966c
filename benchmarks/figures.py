"""From a client's findings and the server's record to figures. Pure."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

from scenarios import Scenario
from timed_server import Served
from usage import Usage

NAN = float("nan")


@dataclass(frozen=True)
class StartUp:
    """What a client costs before its first request, and after its last."""

    cpu_s: float
    wall_s: float


@dataclass(frozen=True)
class Pace:
    """CPU of one fixed piece of Python work in us, medians (calibration.py).

    Attributes:
        slept_us: after 5 ms of sleep.
        awake_us: the same while a process of lowest priority keeps the core from sleeping.
    """

    hot_us: float
    slept_us: float
    awake_us: float


@dataclass(frozen=True)
class Memory:
    """Of one long run and its evaluation (memory.py), load workers counted in.

    Attributes:
        tokens: chunks of each answer.
        peaks_mb: phase -> highest sum of PSS of all processes.
        growth_mb: of the load workers' USS, from a quarter of the run to its end.
    """

    requests: int
    tokens: int
    failed: int
    took_s: float
    peaks_mb: dict[str, float]
    growth_mb: float

    @property
    def peak_mb(self) -> float:
        return max(self.peaks_mb.values())


@dataclass(frozen=True)
class Figures:
    """One client in one scenario; NaN where it says nothing of the kind.

    Attributes:
        n: requests answered.
        error_p50_ms: the client's quantile of TTFT minus the server's own, of the same requests.
        worst_ms: the largest error of a single request, by size.
        cpu_us_per_chunk: all CPU of the client's processes less its start-up, by token chunk.
        requests_per_s: from the first request that reached the server to its last answer.
        others_percent: share of the client's cores that somebody else used.
        clock: where stamps came from, of a client that says so.
        each_us_per_request: `cpu_us_per_request` of each run, in order.
        accounted: None, or a sentence about what is missing; of clients that count chunks.
    """

    client: str
    n: int
    server_p99_ms: float
    error_p50_ms: float
    error_p99_ms: float
    worst_ms: float
    cpu_us_per_chunk: float
    cpu_us_per_request: float
    requests_per_s: float
    peak_rss_mb: float
    others_percent: float
    send_lag_p99_ms: float = NAN
    rate_error_percent: float = NAN
    ks_p_value: float = NAN
    clock: str = ""
    each_us_per_request: tuple[float, ...] = ()
    accounted: str | None = None


def nearest_rank(values: Sequence[float], q: float) -> float:
    """The ceil(q*n)-th smallest."""
    return sorted(values)[max(1, math.ceil(q * len(values) - 1e-9)) - 1]


def figures(
    client: str,
    scenario: Scenario,
    found: dict[str, Any],
    served: Sequence[Served],
    used: Usage,
    start: StartUp,
) -> Figures:
    """Match a client's findings with the server's record.

    Raises:
        RuntimeError: a request failed, or is missing on either side.
    """
    pairs, paired = matched(client, found, served)
    told, truth = [told for told, _ in pairs], [true for _, true in pairs]
    cpu_s = max(0.0, used.cpu_s - start.cpu_s)
    span_s = (max(s.sends_ns[-1][0] for s in served) - min(s.received_ns for s in served)) / 1e9
    counted = all(chunks for _, _, chunks, _ in found["requests"])
    openly = open_loop(found["sends"], served, scenario.rate) if scenario.rate else {}
    return Figures(
        client=client,
        n=len(pairs),
        server_p99_ms=nearest_rank(truth, 0.99),
        error_p50_ms=nearest_rank(told, 0.5) - nearest_rank(truth, 0.5),
        error_p99_ms=nearest_rank(told, 0.99) - nearest_rank(truth, 0.99),
        worst_ms=max((told - true for told, true in pairs), key=abs) if paired else NAN,
        cpu_us_per_chunk=cpu_s / sum(len(s.sends_ns) for s in served) * 1e6,
        cpu_us_per_request=cpu_s / len(served) * 1e6,
        requests_per_s=len(served) / span_s,
        peak_rss_mb=used.peak_rss_bytes / 1e6,
        others_percent=100 * used.others_cpu_s / used.wall_s / used.cores,
        clock=found.get("clock", ""),
        accounted=unaccounted(found["requests"], served) if counted else None,
        **openly,
    )


def matched(
    client: str, found: dict[str, Any], served: Sequence[Served]
) -> tuple[list[tuple[float, float]], bool]:
    """(told, true) TTFT in ms of each request, and whether they belong together.

    A client that names no ids gives quantiles only: its values stand beside the server's in order of size.

    Raises:
        RuntimeError: a request failed, or is missing on either side.
    """
    rows = found["requests"]
    if all(name is not None for name, *_ in rows):
        truth = {record.id: record.ttft_ms for record in served}
        missing = sorted(name for name, *_ in rows if name not in truth)
        if found["failed"] or missing or not rows:
            raise RuntimeError(
                f"{client}: {len(rows)} answered, {found['failed']} failed,"
                f" {len(missing)} unknown to the server ({', '.join(missing[:3])}): the run tells nothing"
            )
        return [(told, truth[name]) for name, told, *_ in rows], True
    told, true = sorted(row[1] for row in rows), sorted(record.ttft_ms for record in served)
    count = min(len(told), len(true))
    return list(zip(_thinned(told, count), _thinned(true, count), strict=True)), False


def _thinned(values: Sequence[float], count: int) -> list[float]:
    """So many of the sorted values, evenly spread: a few requests cut off at the end change no quantile."""
    return [values[i * len(values) // count] for i in range(count)]


def unaccounted(rows: Iterable[Sequence[Any]], served: Sequence[Served]) -> str | None:
    """What the client and the server do not agree on, request by request; None = nothing.

    Every token is "word ", five characters.
    """
    there, here = Counter(s.id for s in served), Counter(row[0] for row in rows)
    tokens = {s.id: len(s.sends_ns) for s in served}
    wrong = sum(
        1 for name, _, chunks, chars in rows if (chunks, chars) != (tokens.get(name), 5 * tokens.get(name, 0))
    )
    lost, unknown = (there - here).total(), (here - there).total()
    double = sum(count - 1 for count in here.values())
    faults = {
        "lost": lost,
        "unknown to the server": unknown,
        "twice": double,
        "with other chunks or bytes": wrong,
    }
    said = [f"{count} {what}" for what, count in faults.items() if count]
    return f"of {len(served)} requests {', '.join(said)}" if said else None


def open_loop(
    sends: Sequence[tuple[int, int | None]], served: Sequence[Served], rate: float
) -> dict[str, float]:
    """Send lag, rate and gaps of an open loop.

    The lag is `sent - scheduled`, infinite for a request that was never sent. The rate is that of arrivals at
    the server, against the rate of the schedule. The gaps are those of the schedule: in what arrives, gaps
    shorter than the time to send a request cannot be.
    """
    lags_ms = [(sent - due) / 1e6 if sent is not None else math.inf for due, sent in sends]
    due_ns = sorted(due for due, _ in sends)
    gaps_ns = [after - before for before, after in pairwise(due_ns)]
    arrived_ns = sorted(record.received_ns for record in served)
    achieved = (len(arrived_ns) - 1) / (arrived_ns[-1] - arrived_ns[0])
    planned = (len(due_ns) - 1) / (due_ns[-1] - due_ns[0])
    return {
        "send_lag_p99_ms": nearest_rank(lags_ms, 0.99),
        "rate_error_percent": 100 * (achieved / planned - 1),
        "ks_p_value": exponential_p_value(gaps_ns, 1e9 / rate),
    }


def exponential_p_value(gaps: Sequence[float], mean: float) -> float:
    """Kolmogorov-Smirnov: how likely gaps like these are if they are exponential with that mean."""
    from scipy import stats

    return float(stats.kstest(gaps, "expon", args=(0, mean)).pvalue)


def median_of(runs: Sequence[Figures]) -> Figures:
    """The median of each figure on its own; one run that misses something or stamps otherwise is told."""
    first = runs[0]
    middle = {
        field.name: statistics.median(getattr(run, field.name) for run in runs)
        for field in fields(Figures)
        if isinstance(getattr(first, field.name), float | int)
    }
    said = next((run.accounted for run in runs if run.accounted), None)
    clocks = {run.clock for run in runs}
    return replace(
        first,
        **middle
        | {
            "n": sum(run.n for run in runs),
            "accounted": said,
            "clock": first.clock if len(clocks) == 1 else "mixed",
            "each_us_per_request": tuple(run.cpu_us_per_request for run in runs),
        },
    )

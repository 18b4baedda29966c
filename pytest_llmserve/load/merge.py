"""Workers' shards and summaries to one result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec

from pytest_llmserve.checks.generator import (
    FEWER_OR_MORE,
    MORE_OR_QUIETER,
    MORE_WORKERS,
    SLOWER_OR_WIDER,
    Cause,
    pause_or_late_read,
)
from pytest_llmserve.domain.metrics import Distribution, distribution
from pytest_llmserve.domain.outcome import DROPPED, OK
from pytest_llmserve.domain.plan import COMPLETE, DECIDED, LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.units import NS_PER_MS
from pytest_llmserve.load.gone import gone_for_all
from pytest_llmserve.load.health import joined
from pytest_llmserve.load.job import WorkerSummary
from pytest_llmserve.load.shard import read_shard

CPU_LIMIT_PERCENT = 90.0
SEND_LAG_LIMIT_MS = 5.0
LATE_SHARE_LIMIT = 0.01
DROPPED_SHARE_LIMIT = 0.001


def merge(plan: LoadPlan, shards: Sequence[str], summaries: Sequence[WorkerSummary]) -> LoadResult:
    """Put the workers' records together, in order of sending."""
    records = in_order(record for shard in shards for record in read_shard(shard))
    found = health(summaries, records, plan.transport, is_open=plan.is_open)
    window_ns = steady_window(plan, records, summaries)
    start_ns = min((s.start_ns for s in summaries), default=None)
    return LoadResult(plan, records, found, window_ns, start_ns=start_ns)


def in_order(records: Iterable[RequestRecord]) -> list[RequestRecord]:
    """In the order of sending; what was never sent, when it was due."""
    # Twice, not by pairs: pairs would be as many more objects as there are records.
    ordered = sorted(records, key=attrgetter("id"))
    ordered.sort(key=lambda r: r.scheduled_ns if r.sent_ns is None else r.sent_ns)
    return ordered


def steady_window(
    plan: LoadPlan, records: Sequence[RequestRecord], summaries: Sequence[WorkerSummary]
) -> tuple[int, int]:
    """From the end of warm-up and ramp-up to where the first user found nothing left to begin.

    A closed loop of no more than two requests a user never is steady, nor is a trace of which
    nothing has ended when its last request is due: all of it counts then.
    """
    if not summaries:
        return (0, 0)
    if not plan.is_open and plan.requests is not None and plan.requests <= 2 * plan.users:
        return _whole(_ended(records))
    start = min(s.start_ns for s in summaries) + max(plan.warm_up_ns, plan.ramp_up_ns)
    stop = max(start, min(s.drain_ns for s in summaries))
    if plan.trace is not None:
        ended = _ended(records)
        if ended and min(r.end_ns or 0 for r in ended) >= stop:
            return _whole(ended)
    return start, stop


def _ended(records: Sequence[RequestRecord]) -> list[RequestRecord]:
    """The measured requests that were sent and are over."""
    return [r for r in records if not r.warm_up and r.sent_ns is not None and r.end_ns is not None]


def _whole(ended: Sequence[RequestRecord]) -> tuple[int, int]:
    """From the first send through the last end."""
    if not ended:
        return (0, 0)
    return min(r.sent_ns or 0 for r in ended), max(r.end_ns or 0 for r in ended) + 1


def health(
    summaries: Sequence[WorkerSummary],
    records: Sequence[RequestRecord],
    transport: str = "sockets",
    *,
    is_open: bool = False,
) -> GeneratorHealth:
    """How well the generator did, the busiest worker's CPU, all workers' delays together."""
    send = _lag(ns for s in summaries for ns in s.send_lag_ns)
    receive = _lag(ns for s in summaries for ns in s.receive_lag_ns)
    stamped, unstamped = sum(s.stamped_reads for s in summaries), sum(s.unstamped_reads for s in summaries)
    cpu_percent = max((_cpu_percent(s) for s in summaries), default=0.0)
    ended = sorted((s.ended for s in summaries if s.ended != COMPLETE), key=lambda why: why == DECIDED)
    dropped = sum(1 for r in records if r.outcome == DROPPED)
    crowded = sum(s.crowded for s in summaries)
    send_p99_ms = send.p99 if send.n else 0.0
    late_share = None if is_open else _late_share(send_p99_ms, records)
    gone, gone_ns = gone_for_all([(s.server_gone, s.gone_ns) for s in summaries], _answered_ns(records))
    found = GeneratorHealth(
        transport=transport,
        protocols=sorted({name for s in summaries for name in s.protocols}),
        clock="user" if not stamped else "kernel" if unstamped <= stamped // 1000 else "mixed",
        send_lag_ms=_figures(send),
        receive_lag_ms=_figures(receive),
        cpu_percent=round(cpu_percent, 2),
        cpu_s=sum(s.cpu_ns for s in summaries) / 1e9,
        chunks=sum(s.chunks for s in summaries),
        workers=len(summaries),
        late_share=late_share,
        dropped=dropped,
        crowded=crowded,
        merged_share=round(sum(s.merged for s in summaries) / max(1, sum(s.chunks for s in summaries)), 6),
        reopened=sum(s.reopened for s in summaries),
        resent=sum(s.resent for s in summaries),
        unfinished=sum(s.unfinished for s in summaries),
        pinned=bool(summaries) and all(s.pinned for s in summaries),
        gc_pauses=sum(s.gc_pauses for s in summaries),
        gc_longest_ms=round(max((s.gc_longest_ns for s in summaries), default=0) / NS_PER_MS, 4),
        ended=ended[0] if ended else COMPLETE,
        server_gone=gone,
        server_gone_ns=gone_ns,
        stalls_ns=joined(stall for s in summaries for stall in s.stalls_ns),
    )
    late_or_busy = saturation(cpu_percent, send_p99_ms, late_share, dropped, len(records), crowded)
    cause = late_or_busy or pause_or_late_read(found)
    if cause is None:
        return found
    return msgspec.structs.replace(found, saturated=cause.why, remedy=cause.remedy)


def _answered_ns(records: Sequence[RequestRecord]) -> int:
    """When an answer last began to come."""
    return max((r.first_byte_ns for r in records if r.first_byte_ns is not None), default=0)


def saturation(
    cpu_percent: float,
    send_lag_p99_ms: float,
    late_share: float | None = None,
    dropped: int = 0,
    arrivals: int = 0,
    crowded: int = 0,
) -> Cause | None:
    """Why the generator may have been the bottleneck, or None.

    Args:
        cpu_percent: of the busiest worker.
        send_lag_p99_ms: delay of sends.
        late_share: closed loop: that delay as a share of the median e2e latency. Latency counts
            from the send there, so late sends only make the load less than planned, by that share.
        dropped: arrivals never sent.
        arrivals: all that were due.
        crowded: of the dropped, those for which no connection was free.
    """
    if dropped - crowded > DROPPED_SHARE_LIMIT * arrivals:
        why = f"dropped {dropped} of {arrivals} arrivals: they could not be sent when they were due"
        return Cause(why, FEWER_OR_MORE)
    if crowded > DROPPED_SHARE_LIMIT * arrivals:
        why = f"dropped {crowded} of {arrivals} arrivals: too many requests were unanswered at once"
        return Cause(why, SLOWER_OR_WIDER)
    if cpu_percent > CPU_LIMIT_PERCENT:
        return Cause(f"a load worker used {cpu_percent:.0f} % of a core", MORE_WORKERS)
    if send_lag_p99_ms > SEND_LAG_LIMIT_MS and (late_share is None or late_share > LATE_SHARE_LIMIT):
        return Cause(f"requests were sent {send_lag_p99_ms:.1f} ms late (p99)", MORE_OR_QUIETER)
    return None


def _late_share(send_lag_p99_ms: float, records: Sequence[RequestRecord]) -> float | None:
    typical_ms = distribution(r.e2e_sent_ms for r in records if r.outcome == OK).p50
    return round(send_lag_p99_ms / typical_ms, 6) if typical_ms > 0 else None


def _cpu_percent(summary: WorkerSummary) -> float:
    elapsed_ns = max(1, summary.end_ns - summary.start_ns)
    return 100.0 * summary.cpu_ns / elapsed_ns


def _lag(delays_ns: Iterable[int]) -> Distribution:
    return distribution(ns / NS_PER_MS for ns in delays_ns)


def _figures(lag: Distribution) -> dict[str, float]:
    if not lag.n:
        return {}
    return {name: round(getattr(lag, name), 4) for name in ("p50", "p99", "max")}

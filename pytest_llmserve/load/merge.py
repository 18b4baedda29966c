"""Workers' shards and summaries to one result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec

from pytest_llmserve.checks.generator import MORE_OR_QUIETER, MORE_WORKERS, Cause, pause_or_late_read
from pytest_llmserve.domain.metrics import Distribution, distribution
from pytest_llmserve.domain.outcome import DROPPED
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.result import GeneratorHealth, LoadResult
from pytest_llmserve.domain.units import NS_PER_MS
from pytest_llmserve.load.job import WorkerSummary
from pytest_llmserve.load.shard import read_shard

CPU_LIMIT_PERCENT = 90.0
SEND_LAG_LIMIT_MS = 5.0


def merge(plan: LoadPlan, shards: Sequence[str], summaries: Sequence[WorkerSummary]) -> LoadResult:
    """Put the workers' records together, in order of sending."""
    records = [record for shard in shards for record in read_shard(shard)]
    # Twice, not by pairs: pairs would be as many more objects as there are records.
    records.sort(key=attrgetter("id"))
    records.sort(key=lambda r: r.scheduled_ns if r.sent_ns is None else r.sent_ns)
    return LoadResult(
        plan, records, health(summaries, records, plan.transport), steady_window(plan, records, summaries)
    )


def steady_window(
    plan: LoadPlan, records: Sequence[RequestRecord], summaries: Sequence[WorkerSummary]
) -> tuple[int, int]:
    """From the end of warm-up and ramp-up to where the first user found nothing left to begin.

    A run of no more than two requests a user never is steady: all of it counts then.
    """
    if not summaries:
        return (0, 0)
    if plan.requests is not None and plan.requests <= 2 * plan.users:
        measured = [r for r in records if not r.warm_up and r.sent_ns is not None and r.end_ns is not None]
        if not measured:
            return (0, 0)
        return min(r.sent_ns or 0 for r in measured), max(r.end_ns or 0 for r in measured) + 1
    start = min(s.start_ns for s in summaries) + max(plan.warm_up_ns, plan.ramp_up_ns)
    return start, max(start, min(s.drain_ns for s in summaries))


def health(
    summaries: Sequence[WorkerSummary], records: Sequence[RequestRecord], transport: str = "sockets"
) -> GeneratorHealth:
    """How well the generator did, the busiest worker's CPU, all workers' delays together."""
    send = _lag(ns for s in summaries for ns in s.send_lag_ns)
    receive = _lag(ns for s in summaries for ns in s.receive_lag_ns)
    stamped, unstamped = sum(s.stamped_reads for s in summaries), sum(s.unstamped_reads for s in summaries)
    cpu_percent = max((_cpu_percent(s) for s in summaries), default=0.0)
    ended = [s.ended for s in summaries if s.ended != "complete"]
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
        dropped=sum(1 for r in records if r.outcome == DROPPED),
        reopened=sum(s.reopened for s in summaries),
        unfinished=sum(s.unfinished for s in summaries),
        pinned=bool(summaries) and all(s.pinned for s in summaries),
        gc_pauses=sum(s.gc_pauses for s in summaries),
        gc_longest_ms=round(max((s.gc_longest_ns for s in summaries), default=0) / NS_PER_MS, 4),
        ended=ended[0] if ended else "complete",
    )
    cause = saturation(cpu_percent, send.p99 if send.n else 0.0) or pause_or_late_read(found)
    if cause is None:
        return found
    return msgspec.structs.replace(found, saturated=cause.why, remedy=cause.remedy)


def saturation(cpu_percent: float, send_lag_p99_ms: float) -> Cause | None:
    """Why the generator may have been the bottleneck, or None."""
    if cpu_percent > CPU_LIMIT_PERCENT:
        return Cause(f"a load worker used {cpu_percent:.0f} % of a core", MORE_WORKERS)
    if send_lag_p99_ms > SEND_LAG_LIMIT_MS:
        return Cause(f"requests were sent {send_lag_p99_ms:.1f} ms late (p99)", MORE_OR_QUIETER)
    return None


def _cpu_percent(summary: WorkerSummary) -> float:
    elapsed_ns = max(1, summary.end_ns - summary.start_ns)
    return 100.0 * summary.cpu_ns / elapsed_ns


def _lag(delays_ns: Iterable[int]) -> Distribution:
    return distribution(ns / NS_PER_MS for ns in delays_ns)


def _figures(lag: Distribution) -> dict[str, float]:
    if not lag.n:
        return {}
    return {name: round(getattr(lag, name), 4) for name in ("p50", "p99", "max")}

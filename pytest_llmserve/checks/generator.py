"""The generator is accused before the server: every cause with the change to make."""

from __future__ import annotations

from typing import NamedTuple

from pytest_llmserve.domain.result import GeneratorHealth

MOST_LAG_MS = 5.0
MOST_LAG_SHARE = 0.01
MOST_LATE_SHARE = 0.01
NOTICED_LAG_MS = 0.5
MOST_CPU_PERCENT = 90.0
MOST_PAUSE_MS = 5.0
MOST_MERGED_SHARE = 0.01

_BOTTLENECK = "the load generator was the bottleneck"
MORE_WORKERS = "add --llm-load-workers"
MORE_OR_QUIETER = "add --llm-load-workers, or run on a quieter machine"
SLOWER_OR_WIDER = "the server is slower than the rate: lower the rate, or raise max_concurrency="
FEWER_OR_MORE = "lower the rate, or add --llm-load-workers"


class Cause(NamedTuple):
    """Why a run says more of its load generator than of the server, and what to change."""

    why: str
    remedy: str


def bottleneck(
    generator: GeneratorHealth, limit_ms: float | None = None, found_ms: float | None = None
) -> str | None:
    """Why a run says more of its load generator than of the server, or None.

    Its own word comes first, also on arrivals it dropped; else sends late by over 5 ms at p99, or by
    over 1 % of the limit judged (but over 0.5 ms: less than that is no one's bottleneck); a
    busy core; late reads that no kernel had stamped; a long garbage collection.

    In a closed loop latency counts from the send, so late sends falsify no latency, they only
    make the load less than planned: by less than 1 % of the median e2e latency is no matter.

    Late sends alone do not excuse a server that is over its limit by more than they are
    late: in a closed loop a latency does not hold them, and in an open loop no more than them.
    Nor do arrivals for which no connection was free: it was the server that had not answered.

    Args:
        generator: health of the load generator.
        limit_ms: the limit judged.
        found_ms: the latency found, where one is judged.
    """
    lag_ms = generator.send_lag_ms.get("p99", 0.0)
    only_late = (
        (generator.saturated is None or lag_ms > MOST_LAG_MS or generator.crowded)
        and generator.cpu_percent <= MOST_CPU_PERCENT
        and generator.dropped == generator.crowded
        and pause_or_late_read(generator) is None
    )
    late_ms = max(lag_ms, generator.receive_lag_ms.get("p99", 0.0))
    if only_late and limit_ms is not None and found_ms is not None and found_ms - limit_ms > late_ms:
        return None
    cause = _cause(generator, limit_ms)
    if cause is None:
        return None
    said = "the load was not sent as planned" if cause.remedy == SLOWER_OR_WIDER else _BOTTLENECK
    return f"{said} ({cause.why}); {cause.remedy}"


def pause_or_late_read(generator: GeneratorHealth) -> Cause | None:
    """What lengthens latencies by itself: reads late where no kernel stamps them, and garbage collection."""
    lag_ms = generator.receive_lag_ms.get("p99", 0.0)
    if generator.clock != "kernel" and lag_ms > MOST_LAG_MS:
        return Cause(
            f"answers were read {lag_ms:.1f} ms late (p99), and not all were stamped by the kernel",
            "run on a quieter machine, or add --llm-load-workers",
        )
    if generator.gc_longest_ms > MOST_PAUSE_MS:
        return Cause(
            f"garbage collection stopped a load worker for {generator.gc_longest_ms:.1f} ms",
            "add --llm-load-workers, so that each keeps less",
        )
    return None


def read_together(generator: GeneratorHealth, limit_ms: float | None = None) -> Cause | None:
    """Events read so late that several of an answer came together: they bear the stamp of the last.

    By less than 1 % of the limit judged is no matter.
    """
    lag_ms = generator.receive_lag_ms.get("p99", 0.0)
    if lag_ms <= max(MOST_LAG_MS, MOST_LAG_SHARE * (limit_ms or 0.0)):
        return None
    if generator.merged_share <= MOST_MERGED_SHARE:
        return None
    share = 100 * generator.merged_share
    why = f"answers were read {lag_ms:.1f} ms late (p99), {share:.0f}% of events together with others"
    return Cause(why, MORE_OR_QUIETER)


def stamps_note(generator: GeneratorHealth) -> str:
    """What a latency must be read with: "stamps taken by httpx, its own delay included"; "" over sockets."""
    if generator.transport == "sockets":
        return ""
    return f"stamps taken by {generator.transport}, its own delay included"


def _cause(generator: GeneratorHealth, limit_ms: float | None) -> Cause | None:
    if generator.saturated is not None:
        return Cause(generator.saturated, generator.remedy)
    lag_ms = generator.send_lag_ms.get("p99", 0.0)
    if generator.late_share is not None and generator.late_share <= MOST_LATE_SHARE:
        lag_ms = 0.0
    if lag_ms > MOST_LAG_MS:
        return Cause(f"send lag p99 {lag_ms:.1f} ms", MORE_OR_QUIETER)
    if limit_ms is not None and lag_ms > max(NOTICED_LAG_MS, MOST_LAG_SHARE * limit_ms):
        return Cause(f"send lag p99 {lag_ms:.1f} ms, over 1% of the limit", MORE_OR_QUIETER)
    if generator.cpu_percent > MOST_CPU_PERCENT:
        return Cause(f"busiest load worker at {generator.cpu_percent:.0f}% CPU", MORE_WORKERS)
    return pause_or_late_read(generator) or read_together(generator, limit_ms)

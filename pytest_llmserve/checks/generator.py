"""The generator is accused before the server."""

from __future__ import annotations

from pytest_llmserve.domain.result import GeneratorHealth

MOST_LAG_MS = 5.0
MOST_LAG_SHARE = 0.01
NOTICED_LAG_MS = 0.5
MOST_CPU_PERCENT = 90.0


def bottleneck(
    generator: GeneratorHealth, limit_ms: float | None = None, found_ms: float | None = None
) -> str | None:
    """Why a run says more of its load generator than of the server, or None.

    Its own word comes first; else sends late by over 5 ms at p99, or by over 1 % of the
    limit judged (but over 0.5 ms: less than that is no one's bottleneck); else a busy core.

    Late sends alone do not excuse a server that is over its limit by more than they are
    late: counted from the send, a latency does not even hold them.

    Args:
        generator: health of the load generator.
        limit_ms: the limit judged.
        found_ms: the latency found, where one is judged.
    """
    lag_ms = generator.send_lag_ms.get("p99", 0.0)
    only_late = (
        (generator.saturated is None or lag_ms > MOST_LAG_MS)
        and generator.cpu_percent <= MOST_CPU_PERCENT
        and not generator.dropped
    )
    if only_late and limit_ms is not None and found_ms is not None and found_ms - limit_ms > lag_ms:
        return None
    reason = _reason(generator, limit_ms)
    if reason is None:
        return None
    return f"the load generator was the bottleneck ({reason}); add --llm-load-workers"


def _reason(generator: GeneratorHealth, limit_ms: float | None) -> str | None:
    if generator.saturated is not None:
        return generator.saturated
    lag_ms = generator.send_lag_ms.get("p99", 0.0)
    if lag_ms > MOST_LAG_MS:
        return f"send lag p99 {lag_ms:.1f} ms"
    if limit_ms is not None and lag_ms > max(NOTICED_LAG_MS, MOST_LAG_SHARE * limit_ms):
        return f"send lag p99 {lag_ms:.1f} ms, over 1% of the limit"
    if generator.cpu_percent > MOST_CPU_PERCENT:
        return f"busiest load worker at {generator.cpu_percent:.0f}% CPU"
    return None

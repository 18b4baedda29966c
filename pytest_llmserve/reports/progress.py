"""How far a load is, in one line. Pure: what is known comes in, text goes out."""

from __future__ import annotations

import math
from collections.abc import Callable

from pytest_llmserve.domain.outcome import DROPPED, OK
from pytest_llmserve.domain.progress import LoadProgress, Quantiles
from pytest_llmserve.domain.units import NS_PER_S, mb_text


def live_line(now: LoadProgress, load: str, width: int) -> str:
    """For a terminal: at most `width` columns; what matters least is left out where it does not fit.

    Args:
        now: how far the run is.
        load: what the load is, such as "20 users".
        width: of the terminal, in columns.
    """
    parts = [
        (0, _clock(now)),
        (6, load),
        (8 if now.total_requests is None else 1, _counted(now)),
        (2, _rate(now.requests_per_s, "req/s")),
        (4, _rate(now.tokens_per_s if now.tokens else math.nan, "tok/s")),
        (3, _latency(now.e2e_ms, "", _whole_ms)),
        (1, _errors(now, kinds=False)),
        (5, _dropped(now)),
        (9, _queue(now)),
        (7, _server(now)),
    ]
    told = [(rank, text) for rank, text in parts if text]
    while True:
        for gap in ("  ", " "):
            line = gap.join(text for _, text in told)
            if len(line) <= width:
                return line
        if len(told) == 1:
            return line[: max(0, width)]
        told.remove(max(told))


def plain_line(now: LoadProgress, load: str) -> str:
    """For a log: everything, once in a while."""
    parts = [
        f"llmserve: {_clock(now)}",
        load,
        f"{_counted(now)}, {now.active} under way",
        _rate(now.requests_per_s, "requests/s"),
        _rate(now.tokens_per_s if now.tokens else math.nan, "tokens/s"),
        _latency(now.e2e_ms, "e2e ", _ms),
        _errors(now, kinds=True),
        _dropped(now),
        _queue(now),
        _server(now),
    ]
    return ", ".join(part for part in parts if part)


def _clock(now: LoadProgress) -> str:
    elapsed = _time(now.elapsed_ns)
    return elapsed if now.total_ns is None else f"{elapsed}/{_time(now.total_ns)}"


def _time(ns: int) -> str:
    minutes, seconds = divmod(ns // NS_PER_S, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _counted(now: LoadProgress) -> str:
    if not now.ended and now.warm_up:
        return f"{now.warm_up} in warm-up"
    return f"{now.ended} done" if now.total_requests is None else f"{now.ended}/{now.total_requests} done"


def _rate(per_s: float, unit: str) -> str:
    if not math.isfinite(per_s):
        return ""
    return f"{per_s:.0f} {unit}" if per_s >= 100 else f"{per_s:.1f} {unit}"


def _latency(e2e: Quantiles, name: str, ms: Callable[[float], str]) -> str:
    if not e2e.n:
        return ""
    if math.isinf(e2e.p99):
        return f"{name}p50 {'failed' if math.isinf(e2e.p50) else ms(e2e.p50) + ' ms'} p99 failed"
    return f"{name}p50 {ms(e2e.p50)} p99 {ms(e2e.p99)} ms"


def _ms(value_ms: float) -> str:
    return f"{value_ms:.{2 if value_ms < 10 else 1 if value_ms < 100 else 0}f}"


def _whole_ms(value_ms: float) -> str:
    return _ms(value_ms) if value_ms < 10 else f"{value_ms:.0f}"


def _errors(now: LoadProgress, kinds: bool) -> str:
    if not kinds or not now.failed:
        return f"{now.failed} failed"
    kinds_of = [entry for entry in now.by_outcome.items() if entry[0] not in {OK, DROPPED}]
    most = sorted(kinds_of, key=lambda entry: (-entry[1], entry[0]))
    return f"{now.failed} failed ({', '.join(f'{outcome} {n}' for outcome, n in most)})"


def _dropped(now: LoadProgress) -> str:
    return f"{now.dropped} dropped" if now.dropped else ""


def _server(now: LoadProgress) -> str:
    return "" if now.server_rss_bytes is None else f"RSS {mb_text(now.server_rss_bytes)}"


def _queue(now: LoadProgress) -> str:
    return "" if now.server_waiting is None else f"{now.server_waiting:.0f} in queue"

"""Units: durations as people write them, nanoseconds inside, and back."""

from __future__ import annotations

import math
import re

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
BYTES_PER_MB = 1_000_000

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|min|m|h)\s*\Z")


def duration_ns(value: object) -> int:
    """Return a duration in nanoseconds.

    Takes seconds as a number, or text with a unit: "60s", "5m", "1500ms", "4h".

    Raises:
        ValueError: not a duration, negative, or not finite; the text says what is accepted.
    """
    if isinstance(value, str):
        match = _DURATION.match(value)
        if match:
            return round(float(match[1]) * _SECONDS[match[2]] * NS_PER_S)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value) and value >= 0:
            return round(value * NS_PER_S)
    raise ValueError(f'{value!r} is not a duration: write "60s", "5m", "1500ms", "4h" or seconds')


def duration_text(ns: int) -> str:
    """Say a duration the way a user would write it: "1.5 s", "250 ms", "4 h"."""
    seconds = ns / NS_PER_S
    if seconds == 0:
        return "0 s"
    if seconds < 1:
        return f"{ns / NS_PER_MS:.3g} ms"
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.4g} s" if seconds < 1000 else f"{seconds:.0f} s"


def ms_text(value_ms: float) -> str:
    """Say milliseconds with the digits that matter: "0.42 ms", "38.1 ms", "2431 ms"."""
    if math.isinf(value_ms):
        return "never (failed)"
    digits = 2 if abs(value_ms) < 10 else 1 if abs(value_ms) < 100 else 0
    return f"{value_ms:.{digits}f} ms"


def mb_text(size_bytes: float) -> str:
    """Say bytes as megabytes of 1,000,000 bytes."""
    mb = size_bytes / BYTES_PER_MB
    return f"{mb:.1f} MB" if abs(mb) < 100 else f"{mb:.0f} MB"

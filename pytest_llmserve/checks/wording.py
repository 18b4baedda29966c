"""How figures stand in a sentence: digits that matter, never a rounding that hides the verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from pytest_llmserve.domain.outcome import OK
from pytest_llmserve.domain.record import RequestRecord

Writer = Callable[[float, int], str]
"""(value, digits beyond the usual) -> text without unit."""


def amount(value: float, extra: int = 0) -> str:
    """A quantity: "0.42", "38.1", "2431"."""
    if value == 0 and not extra:
        return "0"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits + extra}f}"


def whole_number(value: float, extra: int = 0) -> str:
    """A count of things: "42"."""
    return f"{value:.{extra}f}"


def percent(share: float, extra: int = 0) -> str:
    """A share in percent, two digits on the side that is scarce: "1.5", "0.05", "99.95"."""
    value = 100 * share
    scarce = min(value, 100 - value)
    digits = max(0, 1 - math.floor(math.log10(scarce))) if scarce > 1e-9 else 0
    text = f"{value:.{digits + extra}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def about(number: float) -> str:
    """A number reckoned from estimates, rounded up to two digits: "about 1100", "about 26,000"."""
    unit = 10 ** max(0, math.floor(math.log10(number)) - 1)
    rounded = math.ceil(number / unit) * unit
    return f"about {rounded:,}" if rounded >= 10_000 else f"about {rounded}"


def exactly(value: float) -> str:
    """A limit as the user wrote it: "2200", "0.5"."""
    return f"{value:.12g}"


def compared(
    value: float, limit: float, unit: str, *, write: Writer = amount, at_least: bool = False, scale: float = 1
) -> str:
    """Found against promised: "2431 ms > 2200 ms". Rounding never makes the two look alike.

    With `at_least` the limit is a floor, not a ceiling; `scale` turns it into the unit
    (100 for shares in percent).
    """
    sign = (">=" if value >= limit else "<") if at_least else ("<=" if value <= limit else ">")
    promised = exactly(scale * limit)
    if math.isinf(value):
        return f"never (failed) {sign} {promised}{unit}"
    found = write(value, 0)
    for extra in range(1, 7):
        written = float(found) - float(promised)
        if value == limit or written * (value - limit) > 0:  # on the side where it truly is
            break
        found = write(value, extra)
    return f"{found}{unit} {sign} {promised}{unit}"


def spread(low: float, high: float, unit: str, write: Writer = amount) -> str:
    """An interval: "2290-2610 ms", "1700 ms and above", "up to 1900 ms"."""
    if math.isinf(low):
        return f"up to {write(high, 0)}{unit}" if math.isfinite(high) else "unbounded"
    if math.isinf(high):
        return f"{write(low, 0)}{unit} and above"
    joint = " to " if low < 0 else "-"
    return f"{write(low, 0)}{joint}{write(high, 0)}{unit}"


def sureness(confidence: float) -> str:
    """A confidence in percent: "95%"."""
    return f"{percent(confidence)}%"


def failures(records: Sequence[RequestRecord]) -> str | None:
    """Failed requests by kind: "12 of 40 requests failed (http_5xx 10, timed_out 2)", or None."""
    kinds = Counter(r.outcome for r in records if r.outcome != OK)
    if not kinds:
        return None
    failed = kinds.total()
    share = f"{failed} of {len(records)} requests"
    if failed == len(records):
        share = f"all {failed} requests" if failed > 1 else "the only request"
    return f"{share} failed ({', '.join(f'{kind} {n}' for kind, n in kinds.most_common())})"

"""Numbers as short as they need to be in a file."""

from __future__ import annotations

import math
from collections.abc import Iterable


def short(value: float | None, digits: int = 3) -> float | None:
    """So many decimals; None for what is not known or has no end."""
    return None if value is None or not math.isfinite(value) else round(value, digits)


def shorts(values: Iterable[float | None], digits: int = 3) -> list[float | None]:
    """Each of them."""
    return [short(value, digits) for value in values]


def significant(value: float, digits: int = 4) -> float:
    """So many digits that tell."""
    return float(f"{value:.{digits}g}")

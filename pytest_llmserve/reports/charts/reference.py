"""The percentile curves of a kept run, to be drawn beside those of the run that is compared with it."""

from __future__ import annotations

import math
from array import array
from typing import Any

from pytest_llmserve.domain.measurement import SERIES, Measurement
from pytest_llmserve.domain.metrics import Distribution
from pytest_llmserve.reports.charts.quantiles import quantiles

REFERENCE = "reference"
"""Key of a run's charts."""


def reference(kept: Measurement) -> dict[str, Any]:
    """{"name", "quantiles": {"e2e_ms": as `quantiles`}}: only of the series that it has."""
    found = {}
    for name in SERIES:
        values = [value for value in kept.series.get(name, ()) if not math.isnan(value)]
        answered = array("d", sorted(filter(math.isfinite, values)))
        if answered:
            found[name] = quantiles(Distribution(answered, len(values) - len(answered)))
    return {"name": kept.name, "quantiles": found}

"""The kept run that a run was compared with, drawn beside it."""

from __future__ import annotations

import math

from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.domain.metrics import Distribution
from pytest_llmserve.reports.charts.quantiles import quantiles
from pytest_llmserve.reports.charts.reference import reference
from pytest_llmserve.reports.html.curve_plots import percentiles

KEPT = Measurement(
    name="main",
    plan={},
    series={"e2e_ms": [30.0, math.inf, 10.0, 20.0], "ttft_ms": [math.nan] * 4, "tpot_ms": [math.inf] * 4},
)


def test_curves_of_what_it_has():
    """Sorted, failures infinitely slow; no curve of a figure that nobody has, or that all failed."""
    found = reference(KEPT)
    assert found["name"] == "main"
    assert found["quantiles"] == {"e2e_ms": quantiles(Distribution([10.0, 20.0, 30.0], 1))}
    assert found["quantiles"]["e2e_ms"]["ms"][-1] is None


def test_it_is_drawn_dashed_in_the_colour_of_the_figure():
    """Beside the run's own curve, under its name."""
    own = {name: quantiles(Distribution([5.0, 6.0])) for name in ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")}
    plot = percentiles(own, [], reference(KEPT))
    mine, kept = (next(s for s in plot.series if s.name == name) for name in ("e2e", "e2e of main"))
    assert (kept.style, kept.colour) == ("dashed", mine.colour)
    assert kept.values[0] == 10.0
    assert len(percentiles(own, []).series) == len(plot.series) - 1

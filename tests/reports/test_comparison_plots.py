"""Two runs over each other: what stands in the plots stands in their tables too."""

from __future__ import annotations

import math

from pytest_llmserve.domain.measurement import Measurement
from pytest_llmserve.reports.html.comparison_plots import pair_plots
from pytest_llmserve.reports.html.plot_words import MOST_ROWS
from pytest_llmserve.reports.overlaid import curves


def kept(e2e):
    return Measurement(
        name="x",
        plan={},
        series={"e2e_ms": e2e},
        rates={"requests_per_s": [30.0, 40.0]},
        throughput={"requests_per_s": 35.0},
        counts={"sent": len(e2e), "failed": 0},
        server={},
    )


def test_each_plot_has_its_figures_as_a_table():
    """Of a few dozen rows, each as wide as its head; "∞" where failed requests reach a figure."""
    before = [100.0 + n for n in range(100)]
    after = [200.0] * 50 + [math.inf] * 50
    plots = {plot.id: plot for plot in pair_plots({"_curves": curves(kept(before), kept(after))})}
    assert list(plots) == [
        "percentiles-e2e-ms",
        "distribution-e2e-ms",
        "course-e2e-ms",
        "rate-requests-per-s",
    ]
    for plot in plots.values():
        assert 0 < len(plot.rows) <= MOST_ROWS
        assert all(len(row) == len(plot.heads) for row in plot.rows)
    course, rate = plots["course-e2e-ms"], plots["rate-requests-per-s"]
    assert course.heads == (
        "% of the run",
        "before p50, ms",
        "before p95, ms",
        "after p50, ms",
        "after p95, ms",
    )
    assert course.rows[0] == ("2.5", "102", "104", "200", "200")
    assert course.rows[-1] == ("97.5", "197", "199", "∞", "∞")
    assert course.series[2].values[-1] == math.inf
    assert rate.rows == [("25", "30", "30"), ("75", "40", "40")]
    distribution = plots["distribution-e2e-ms"]
    assert distribution.heads == ("about, ms", "before, %", "after, %")
    assert distribution.rows[-1][1:] == ("3.0", "50.0")

"""What plots are drawn from: the requests of a run brought down to a few hundred figures."""

from __future__ import annotations

from typing import Any

from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.reports.charts.axis import Axis
from pytest_llmserve.reports.charts.columns import columns_of
from pytest_llmserve.reports.charts.histograms import histogram
from pytest_llmserve.reports.charts.over_time import over_time
from pytest_llmserve.reports.charts.points import points
from pytest_llmserve.reports.charts.quantiles import quantiles
from pytest_llmserve.reports.charts.run_marks import run_marks

LATENCIES = ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")


def run_charts(run: LoadResult, zero_ns: int) -> dict[str, Any]:
    """The plots of one run as plain data, of the same size however many requests there were.

    Times are in seconds on the test's axis, latencies in ms; what is not known or infinite is None.
    "axis" is "test", or "run" where it is the run's own: the stamps of a comparison's rounds were moved
    together, so that nothing else lies beside them.

    Args:
        run: also one without a single request.
        zero_ns: monotonic clock, when the test began.
    """
    axis = Axis.of(run, zero_ns)
    columns = columns_of(run, axis)
    distributions = {name: getattr(run, name) for name in LATENCIES}
    return {
        "axis": "run" if run.rounds is not None else "test",
        "start_s": axis.start_s,
        "end_s": axis.end_s,
        "steady_s": [axis.seconds(at_ns) for at_ns in run.steady_ns],
        "over_time": over_time(run, columns, axis),
        **points(columns),
        "quantiles": {name: quantiles(values) for name, values in distributions.items()},
        "histograms": {name: histogram(values) for name, values in distributions.items()},
        "marks": run_marks(run, axis),
    }

"""What is said beside an ITL of 0."""

from __future__ import annotations

import pytest

from pytest_llmserve.reports.html.curve_plots import curve_plots
from pytest_llmserve.reports.html.sections.metrics import metrics
from pytest_llmserve.reports.merged import merged_text

NOTE = "62 % of the chunks came together with another in one read, 0 ms apart"


@pytest.mark.parametrize(("share", "said"), [(0.62, NOTE), (0.04, ""), (0.0, ""), (None, "")])
def test_it_is_said_of_many_chunks_only(share, said):
    assert merged_text({"merged_share": share}) == said
    assert merged_text({}) == ""


def test_it_stands_beside_the_itl():
    """In the table of latencies and in the sentences of the plots, of ITL alone."""
    row = {"n": 4, "mean": 1.0, "min": 0.0, "max": 3.0, "p50": 0.0, "p90": 1.0, "p95": 2.0, "p99": 3.0}
    assert f"; ITL: {NOTE}</caption>" in metrics({"ttft_ms": row, "itl_ms": row}, merged=NOTE)
    assert NOTE not in metrics({"ttft_ms": row, "itl_ms": row | {"n": 0}}, merged=NOTE)
    latencies = ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")
    curve = {"q": [0.0, 0.5], "ms": [1.0, 2.0]}
    bins = {"edges": [1.0, 2.0], "n": [4], "failed": 0}
    charts = {"quantiles": dict.fromkeys(latencies, curve), "histograms": dict.fromkeys(latencies, bins)}
    said = {plot.id: plot.said for plot in curve_plots(charts, [], NOTE)}
    assert f"; ITL p50 2 ms, p95 2 ms, p99 2 ms ({NOTE}); TPOT" in said["percentiles"]
    assert said["distribution-itl"].endswith(f"; {NOTE}.")
    assert sum(NOTE in each for each in said.values()) == 2

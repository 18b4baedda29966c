"""What the script of the page is given: short, harmless, and the library as it was published."""

from __future__ import annotations

import hashlib
import json

from pytest_llmserve.reports.html.drawing import (
    asset,
    plot_box,
    plot_data,
    plot_scripts,
    plot_styles,
    plots_element,
)
from pytest_llmserve.reports.html.plot import POINTS, Mark, Plot, Series


def a_plot(**changes):
    fields = {"id": "p", "title": "T", "said": "S", "x": [0.0, 1.0], "x_name": "time", "x_unit": "s"}
    return Plot(**(fields | {"y_name": "ms", "series": [Series("p50", [1.0, None], "ms")]} | changes))


def test_figures_are_short_and_what_is_not_finite_is_nothing():
    """Five digits of a value, seven of an instant; whole numbers have no point; what is endless is told."""
    series = Series("p50", [123.456789, float("inf"), float("nan"), 20.0, None], "ms")
    data = plot_data(a_plot(x=[0.0, 1.5, 3599.12345678, 4.0, 5.0], series=[series]))
    assert data["x"] == [0, 1.5, 3599.123, 4, 5]
    assert data["series"] == [
        {
            "name": "p50",
            "unit": "ms",
            "colour": "a",
            "style": "line",
            "y": [123.46, None, None, 20, None],
            "never": [1],
        }
    ]


def test_labels_tell_once_what_they_begin_with():
    """Thousands of points are labelled alike; one, or equal ones, are told in full."""

    def labelled(*labels):
        series = Series("requests", [1.0] * len(labels), "ms", "a", POINTS, labels, range(len(labels)))
        told = plot_data(a_plot(series=[series]))["series"][0]
        return told["labelled"], told["labels"]

    assert labelled("request 12", "request 13", "request 7") == ("request ", ["12", "13", "7"])
    assert labelled("same", "same") == ("same", ["", ""])
    assert labelled("one", "two") == ("", ["one", "two"])


def test_nothing_in_the_data_ends_its_element():
    """Whatever a mark or a series is called, it comes out as it went in, and never as HTML."""
    hostile = "</script><!--<script>&amp;\u2028\u2029"
    mark = Mark(1.0, hostile, "log")
    found = str(plots_element([a_plot(title=hostile, marks=[mark, Mark(0, "a", "stage", 2.00049)])]))
    assert found.startswith('<script type="application/json" id="llmserve-plots">[{')
    inside = found.removeprefix('<script type="application/json" id="llmserve-plots">').removesuffix(
        "</script>"
    )
    assert not set("<>&\u2028\u2029") & set(inside)
    assert json.loads(inside)[0]["title"] == hostile
    assert json.loads(inside)[0]["marks"] == [
        {"at": 1.0, "label": hostile, "kind": "log"},
        {"at": 0, "label": "a", "kind": "stage", "until": 2.0},
    ]
    assert plot_box(a_plot(id='"><b>')) == '<div class="plot-box" data-plot="&quot;&gt;&lt;b&gt;"></div>'


def test_scripts_and_styles_ask_for_nothing_and_write_no_html():
    """Our own put text where text belongs; neither ours nor the library's loads anything."""
    own = "\n".join(asset(name) for name in ("ticks.js", "marks.js", "lines.js", "options.js", "report.js"))
    assert plot_scripts().endswith(own)
    assert plot_scripts().startswith(asset("uPlot.iife.min.js"))
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in own
    for way in ("fetch(", "XMLHttpRequest", "import(", "sendBeacon", "new Image", "WebSocket"):
        assert way not in plot_scripts()
    for way in ("@import", "url("):
        assert way not in plot_styles()


def test_the_vendored_library_is_what_was_published():
    """Version, source and licence are on record, and each file is the one of the record."""
    record = json.loads(asset("vendored.json"))["uPlot"]
    assert record["source"] == f"https://registry.npmjs.org/uplot/-/uplot-{record['version']}.tgz"
    assert record["licence"] == "MIT"
    assert asset("uPlot.LICENSE").startswith("The MIT License (MIT)")
    assert f"(v{record['version']})" in asset("uPlot.iife.min.js")
    assert set(record["files"]) == {"uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE"}
    for name, known in record["files"].items():
        assert "sha256:" + hashlib.sha256(asset(name).encode()).hexdigest() == known, name

"""Plots of known figures: what the pointer and the keyboard tell, and what plots of one axis share."""

from __future__ import annotations

import json
import math
import re

import pytest
from looking import drag, draw_all, figure, point_at, until, values, where

from pytest_llmserve.reports.html.figures import figures
from pytest_llmserve.reports.html.plot import (
    AREA,
    BARS,
    DASHED,
    EDGE,
    LIMIT,
    LOG,
    PERCENTILE,
    POINTS,
    Mark,
    Plot,
    Series,
)
from pytest_llmserve.reports.html.shell import main, whole_page

TIMES = [float(at) for at in range(101)]
"""Plots of this axis are 100 s wide: a share of the width is a second."""
P50 = [None if 40 <= at < 44 else 200.0 + at for at in TIMES]
MARKS = (
    Mark(0, "10 users", "stage", 50),
    Mark(50, "20 users", "stage", 100),
    Mark(70, "the test ended the server", "restart"),
    Mark(90, "log: CUDA out of memory", "log"),
)


def over_time(name, series, **more):
    words = {"said": "Known figures.", "x_name": "time into the test", "x_unit": "s", "y_name": "ms"}
    return Plot(id=name, title=name.title(), x=TIMES, series=series, link="t", marks=MARKS, **words, **more)


LATENCY = over_time(
    "latency",
    [
        Series("requests", [150.0, 160.0], "ms", "muted", POINTS, ["request 7", "request 8"], [10.0, 60.0]),
        Series("failed", [1.0], "", "fail", EDGE, ["request 9: timeout"], [30.0]),
        Series("p50", P50, "ms", "a"),
        Series("p99", [None if value is None else 10 * value for value in P50], "ms", "b", DASHED),
    ],
    y_scale=LOG,
    heads=("s", "p50"),
    rows=(("0", "200"), ("100", "300")),
)
CPU = over_time("cpu", [Series("all processes", [at / 2 for at in TIMES], "%", "e", AREA)])
SHARES = [0.0, 0.5, 0.9, 0.99, 0.999]
CURVE = Plot(
    id="percentiles",
    title="Percentiles",
    said="Known percentiles.",
    x=SHARES,
    x_name="percentile",
    x_unit="",
    y_name="ms",
    series=[Series("TTFT", [10.0, 20.0, 40.0, 80.0, None], "ms", "a")],
    x_scale=PERCENTILE,
    y_scale=LOG,
)
EDGES = [1.0, 10.0, 100.0, 1000.0]
BINS = Plot(
    id="distribution",
    title="Distribution",
    said="Known counts.",
    x=EDGES,
    x_name="time to first token",
    x_unit="ms",
    y_name="requests",
    series=[Series("TTFT", [5, 7, 1, 1], "requests", "a", BARS)],
    x_scale=LOG,
)
FAILURES = Plot(
    id="failures",
    title="Failures",
    said="A line that failed requests reach from 40 to 60.",
    x=TIMES,
    x_name="time",
    x_unit="s",
    y_name="ms",
    series=[
        Series("p95", [math.inf if 40 <= at <= 60 else 10.0 + at % 2 for at in TIMES], "ms", "b"),
        Series("limit p95 50 ms", [50.0, 50.0], "ms", "fail", LIMIT, x=[0.0, 100.0]),
    ],
    y_scale=LOG,
)
PLOTS = [LATENCY, CPU, CURVE, BINS, FAILURES]
TOP = """(box) => {
    const canvas = box.querySelector("canvas").getBoundingClientRect();
    const plot = box.querySelector(".u-over").getBoundingClientRect();
    const strip = document.createElement("canvas");
    [strip.width, strip.height] = [plot.width, 3];
    const context = strip.getContext("2d", { willReadFrequently: true });
    context.drawImage(box.querySelector("canvas"), canvas.left - plot.left, canvas.top - plot.top);
    const { data } = context.getImageData(0, 0, strip.width, 3);
    const red = (at) => data[at + 3] > 60 && data[at] > data[at + 2] + 60;
    return Array.from({ length: 97 }, (_, n) => n + 2).filter((second) =>
        [0, 1, 2].some((row) => red(4 * (row * strip.width + Math.round((second / 100) * plot.width)))));
}"""
"""At which seconds the upper edge of a plot has a line in the colour b."""


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A page of these plots alone."""
    path = tmp_path_factory.mktemp("known") / "plots.html"
    path.write_text(whole_page("Known plots", main(figures(PLOTS)), plots=PLOTS), encoding="utf-8")
    return path


@pytest.fixture
def page(visit, known):
    opened = visit(known, viewport={"width": 1000, "height": 900})
    assert draw_all(opened) == ["yes"] * len(PLOTS)
    yield opened
    assert opened.said == []


def test_the_pointer_shows_the_values_of_each_series(page):
    """Each series its own value at that place, a gap none; and what was marked there."""
    plot = figure(page, "latency")
    point_at(plot, 0.2)
    assert values(plot) == {"requests": "–", "failed": "–", "p50": "220 ms", "p99": "2,200 ms"}
    assert where(plot) == "time into the test: 20 s · 10 users"
    point_at(plot, 0.42)
    assert values(plot)["p50"] == "–"
    point_at(plot, 0.6)
    assert values(plot)["requests"] == "160 ms · request 8"
    point_at(plot, 0.3)
    assert values(plot)["failed"] == "request 9: timeout"
    point_at(plot, 0.7)
    assert where(plot) == "time into the test: 70 s · 20 users · restart: the test ended the server"
    point_at(plot, 0.9)
    assert where(plot).endswith("20 users · log: CUDA out of memory")
    page.mouse.move(1, 1)
    assert set(values(plot).values()) == {""}
    assert where(plot) == "time into the test (s)"


def test_curves_and_bars_are_read_on_their_own_axes(page):
    """A percentile is told as one; a bar counts what lies between its edges; a curve ends at a failure."""
    curve, bins = figure(page, "percentiles"), figure(page, "distribution")
    point_at(curve, 1 / 3)
    assert (where(curve), values(curve)) == ("percentile: 90 %", {"TTFT": "40 ms"})
    point_at(curve, 1)
    assert values(curve) == {"TTFT": "–"}
    point_at(bins, 0.6)
    assert values(bins) == {"TTFT": "7 requests"}
    assert where(bins) == "time to first token: 10 ms to 100 ms"


def test_a_line_goes_along_the_upper_edge_where_failed_requests_reach_it(page):
    """And its value is said; hidden, it leaves the edge. The axis says that it is logarithmic."""
    plot = figure(page, "failures")
    assert plot.locator(".plot-y-name").inner_text() == "ms, logarithmic"
    point_at(plot, 0.5)
    assert values(plot) == {"p95": "never (failed)", "limit p95 50 ms": "50 ms"}
    point_at(plot, 0.2)
    assert values(plot)["p95"] == "10 ms"
    page.mouse.move(1, 1)
    assert plot.evaluate(TOP) == pytest.approx(list(range(40, 61)), abs=1)
    plot.get_by_role("button", name="p95", exact=True).click()
    assert plot.evaluate(TOP) == []


def test_plots_of_one_axis_share_pointer_and_zoom(page):
    """What is pointed at and zoomed in one plot is so in the other, and in no plot of another axis."""
    latency, cpu, curve = (figure(page, name) for name in ("latency", "cpu", "percentiles"))
    point_at(latency, 0.2)
    assert values(cpu) == {"all processes": "10 %"}
    assert values(curve) == {"TTFT": ""}
    drag(page, latency, 0.4, 0.6)
    point_at(cpu, 0.5)
    assert values(cpu) == {"all processes": "25 %"}
    point_at(cpu, 0)
    assert values(cpu) == {"all processes": "20 %"}
    assert curve.locator(".plot-box").get_attribute("data-zoomed") is None
    cpu.locator(".u-over").dblclick()
    point_at(latency, 0.99)
    assert values(latency)["p50"] == "299 ms"
    drag(page, cpu, 0.1, 0.2)
    cpu.locator(".plot-stage").focus()
    page.keyboard.press("Escape")
    point_at(latency, 0.5)
    assert values(latency)["p50"] == "250 ms"


def test_a_plot_is_read_with_the_keyboard_alone(page):
    """Arrows go from value to value and say what is there; plus, minus and 0 change what is shown."""
    plot = figure(page, "cpu")
    live = plot.locator(".plot-live")
    plot.locator(".plot-stage").focus()
    page.keyboard.press("ArrowRight")
    assert live.inner_text() == "time into the test: 0 s · 10 users, all processes 0 %"
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowRight")
    assert live.inner_text() == "time into the test: 11 s · 10 users, all processes 5.5 %"
    page.keyboard.press("ArrowLeft")
    assert live.inner_text() == "time into the test: 10 s · 10 users, all processes 5 %"
    page.keyboard.press("End")
    assert live.inner_text() == "time into the test: 100 s · 20 users, all processes 50 %"
    page.keyboard.press("+")
    assert live.inner_text() == "50 s to 100 s"
    page.keyboard.press("Home")
    assert live.inner_text() == "time into the test: 50 s · 10 users · 20 users, all processes 25 %"
    page.keyboard.press("-")
    assert live.inner_text() == "0 s to 100 s"
    page.keyboard.press("+")
    page.keyboard.press("0")
    page.keyboard.press("Home")
    assert live.inner_text() == "time into the test: 0 s · 10 users, all processes 0 %"


def test_a_series_is_hidden_by_its_button(page):
    """It leaves the canvas, and the button says so; the others stay."""
    plot = figure(page, "cpu")
    button = plot.get_by_role("button", name="all processes")
    before = plot.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    hidden = plot.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
    assert hidden != before
    button.click()
    assert button.get_attribute("aria-pressed") == "true"


def test_a_plot_follows_the_width_of_the_page(page):
    """A narrower window, narrower plots: nothing is cut off."""
    wide = figure(page, "cpu").locator("canvas").bounding_box()["width"]
    page.set_viewport_size({"width": 380, "height": 800})
    until(page, "document.querySelector('.plot-box canvas').clientWidth <= 380")
    narrow = figure(page, "cpu").locator("canvas").bounding_box()["width"]
    assert narrow < wide
    assert page.evaluate("document.documentElement.scrollWidth") <= 380


def test_a_plot_that_cannot_be_drawn_says_so_and_leaves_its_table(visit, known, tmp_path):
    """The others are drawn all the same."""
    source = known.read_text(encoding="utf-8")
    start = source.index('<script type="application/json"')
    start = source.index(">", start) + 1
    end = source.index("</script>", start)
    data = json.loads(source[start:end])
    data[0]["series"][2]["y"] = None
    broken = tmp_path / "broken.html"
    broken.write_text(source[:start] + json.dumps(data) + source[end:], encoding="utf-8")
    page = visit(broken)
    assert draw_all(page) == ["failed", "yes", "yes", "yes", "yes"]
    words = figure(page, "latency").locator(".plot-failed").inner_text()
    assert re.fullmatch(
        r"This plot could not be drawn \(.+\); its figures are in the table below it\.", words
    )
    assert figure(page, "latency").locator("td").first.text_content() == "200"
    assert len(page.said) == 1
    assert page.said[0].startswith("error: latency TypeError")

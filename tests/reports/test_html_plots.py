"""From the document of a test to its plots: which there are, what they show, and their words."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
from sample_document import bad_test, good_test

from pytest_llmserve.reports.html.curve_plots import distribution, percentiles
from pytest_llmserve.reports.html.load_plots import load_plots
from pytest_llmserve.reports.html.placing import NO_ROOM, place, weight
from pytest_llmserve.reports.html.plot import Mark, Series
from pytest_llmserve.reports.html.plot_words import MOST_ROWS, course_text, figure_text, level_text
from pytest_llmserve.reports.html.plots import (
    at_once_text,
    limits,
    marks_of,
    on_test_axis,
    plots_of_run,
    plots_of_test,
)
from pytest_llmserve.reports.html.server_plots import server_plots
from pytest_llmserve.reports.html.stage_plots import stage_plots


@pytest.fixture(scope="module")
def good():
    return good_test()


@pytest.fixture(scope="module")
def bad():
    return bad_test()


def by_id(plots):
    return {plot.id: plot for plot in plots}


def lines(plot):
    return {series.name: series for series in plot.series}


def small_run(start_s=0.0, **changes):
    """Two stretches of half a second; three requests, of which one failed and one was never sent."""
    over_time = {
        "bin_s": 0.5,
        "at_s": [start_s + 0.25, start_s + 0.75],
        "sent": [2, 1],
        "ok": [1, 0],
        "failed": [0, 1],
        "in_flight": [1.5, 0.5],
        "requests_per_s": [2.0, 0.0],
        "output_tokens_per_s": [None, None],
        "e2e_ms": {"p50": [100.0, None], "p95": [200.0, None], "p99": [None, None]},
        "ttft_ms": {"p50": [None, None], "p95": [None, None], "p99": [None, None]},
        "tpot_ms": {"p50": [None, None], "p95": [None, None]},
        "never": {
            "e2e_ms": {"p50": [], "p95": [1], "p99": []},
            "ttft_ms": {"p50": [1], "p95": [1], "p99": []},
            "tpot_ms": {"p50": [], "p95": []},
        },
    }
    points = {
        "at_s": [start_s, start_s + 0.1, start_s + 0.5],
        "e2e_ms": [100.0, 900.0, None],
        "ttft_ms": [None, None, None],
        "id": [7, 8, 9],
        "outcome": [0, 1, 2],
        "shown": 3,
        "of": 3,
    }
    charts = {
        "axis": "test",
        "start_s": start_s,
        "end_s": start_s + 1,
        "over_time": over_time,
        "points": points,
        "outcomes": ["ok", "timeout", "dropped"],
        "marks": [],
    }
    stages = [{"label": "2 users", "users": 2, "rate": None, "start_s": 0.0, "end_s": 1.0}]
    return {"counts": {"failed": 1, "dropped": 1}, "stages": stages, "_charts": charts | changes}


def test_a_test_has_a_plot_of_all_that_was_measured(good, bad):
    """Load and server under one axis of time, with the marks of both."""
    wanted = ["e2e", "ttft", "tpot", "throughput", "tokens", "in-flight"]
    wanted += ["queue", "kv-cache", "memory", "cpu", "host-cpu", "gpu", "gpu-memory", "handles"]
    for test in (good, bad):
        plots = plots_of_test(test)
        assert [plot.id for plot in plots] == wanted
        assert {plot.link for plot in plots} == {"time"}
        assert len({tuple(map(repr, plot.marks)) for plot in plots}) == 1
        assert all(len(plot.rows) <= MOST_ROWS and plot.rows and plot.said for plot in plots)
        assert all(len(row) == len(plot.heads) for plot in plots for row in plot.rows)
    assert {mark.kind for mark in plots_of_test(bad)[0].marks} >= {"log", "gone", "restart"}
    assert {mark.kind for mark in plots_of_test(good)[0].marks} >= {"stage", "warm-up"}


def test_a_run_has_its_percentiles_and_distributions(good):
    """With the limits of the test, up to their percentile; of three stages or more the load is compared."""
    plots = by_id(plots_of_run(good, 0))
    assert list(plots) == [
        "stage-throughput",
        "stage-latency",
        "percentiles",
        *(f"distribution-{name}" for name in ("ttft", "itl", "tpot", "e2e")),
    ]
    assert "stage-throughput" not in by_id(plots_of_run(good, 1))
    drawn = lines(plots["percentiles"])
    assert list(drawn)[:4] == ["TTFT", "ITL", "TPOT", "e2e"]
    assert list(drawn["limit p95 TTFT 600 ms"].x) == [0.0, 0.95]
    assert list(drawn["limit p95 TTFT 600 ms"].values) == [600.0, 600.0]
    p95 = good["runs"][0]["metrics"]["ttft_ms"]["p95"]
    assert plots["percentiles"].rows[2][:2] == ("p95", figure_text(p95))


def test_latencies_failures_and_gaps_between_runs_over_time():
    """Failed and never sent requests stand on the edge, in words too; no line joins two runs."""
    plots = by_id(load_plots([small_run(5.0), small_run()], [Mark(1, "a", "log")], "t"))
    assert list(plots) == ["e2e", "throughput", "in-flight"]
    e2e = lines(plots["e2e"])
    assert plots["e2e"].x == [0.25, 0.75, 5.0, 5.25, 5.75]
    assert e2e["p50"].values == [100.0, None, None, 100.0, None]
    assert e2e["p95"].values == [200.0, math.inf, None, 200.0, math.inf]
    assert "p99" not in e2e
    assert (e2e["requests"].x, e2e["requests"].labels) == ([0.0, 5.0], ["request 7", "request 7"])
    assert e2e["failed"].x == [0.1, 0.5, 5.1, 5.5]
    assert e2e["failed"].labels[:2] == ["request 8: timeout", "request 9: dropped"]
    assert plots["e2e"].said == (
        "p50 100 ms in the median, highest 100 ms at 0.25 s; "
        "p95 never (failed) in 2 of 4 intervals, else 200 ms in the median, highest 200 ms at 0.25 s; "
        "2 failed, 2 never sent."
    )
    assert plots["e2e"].heads == ("s", "p50", "p95")
    assert plots["e2e"].rows == [
        ("0.25", "100", "200"),
        ("0.75", "-", "∞"),
        ("5.25", "100", "200"),
        ("5.75", "-", "∞"),
    ]
    throughput = lines(plots["throughput"])
    assert throughput["sent"].values == [4.0, 2.0, None, 4.0, 2.0]
    assert throughput["failed"].values == [0.0, 2.0, None, 0.0, 2.0]
    planned = lines(plots["in-flight"])["users planned"]
    assert list(zip(planned.x, planned.values, strict=True))[:3] == [(0.0, 2), (1.0, 2), (1.0, None)]
    dropped = small_run(outcomes=["ok", "dropped", "dropped"])
    assert "never sent" in lines(by_id(load_plots([dropped], (), "t"))["e2e"])
    alone = by_id(load_plots([small_run()], (), "t", single_requests=False))["e2e"]
    assert list(lines(alone)) == ["failed", "p50", "p95"]


def test_nothing_measured_is_no_plot():
    """A test without runs, a run without requests, a run whose charts nobody asked for."""
    empty = small_run()["_charts"]["over_time"] | {"at_s": []}
    assert load_plots([small_run(over_time=empty)], (), "t") == []
    assert plots_of_test({"runs": [{}], "resources": {}}) == []
    assert plots_of_run({"runs": [{}]}, 0) == []
    nothing = {key: {"q": [], "ms": []} for key in ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")}
    assert percentiles(nothing, []) is None
    assert distribution({"edges": [], "n": [], "failed": 4}, "TTFT", "time to first token", "a") is None


def test_rounds_of_a_comparison_have_an_axis_of_their_own():
    """Their times are not those of the test: they stand with the run, linked among themselves."""
    run = small_run(axis="run") | {"stages": []}
    nothing = {key: {"q": [], "ms": []} for key in ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")}
    bare = {key: {"edges": [], "n": [], "failed": 0} for key in nothing}
    run["_charts"] |= {"quantiles": nothing, "histograms": bare}
    test = {"runs": [run], "verdicts": []}
    assert not on_test_axis(run)
    assert plots_of_test(test) == []
    assert {plot.link for plot in plots_of_run(test, 0)} == {"run-time"}


def test_runs_at_the_same_time_have_a_course_each():
    """A line over both would go back in time and tell half of what was sent; one after another they share."""
    nothing = {key: {"q": [], "ms": []} for key in ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")}
    bare = {key: {"edges": [], "n": [], "failed": 0} for key in nothing}
    test = {"runs": [small_run(at) for at in (0.0, 0.4, 1.5)], "verdicts": [], "_marks": []}
    test["_marks"] = [{"at_s": 0.2, "label": "restart", "kind": "restart"}]
    for run in test["runs"]:
        run["_charts"] |= {"quantiles": nothing, "histograms": bare}
    for plot in plots_of_test(test):
        assert list(plot.x) == [1.75, 2.25]
    for number, start_s in enumerate((0.0, 0.4)):
        own = by_id(plots_of_run(test, number))
        assert list(own["throughput"].x) == [start_s + 0.25, start_s + 0.75]
        assert [mark.kind for mark in own["throughput"].marks] == ["restart"]
        few = by_id(plots_of_run(test, number, single_requests=False))
        assert ("requests" in lines(own["e2e"]), "requests" in lines(few["e2e"])) == (True, False)
    assert plots_of_run(test, 2) == []
    assert at_once_text(test) == "Runs 1 and 2 overlap in time: the plots over time of each stand with it."
    many = {"runs": [small_run() for _ in range(9)], "verdicts": []}
    assert at_once_text(many) == "9 runs overlap in time: the plots over time of each stand with it."
    assert place([(test, "test-1")])[0].apart == at_once_text(test)
    touching = {"runs": [small_run(), small_run(1.0)], "verdicts": []}
    assert at_once_text(touching) == ""
    assert len(plots_of_test(touching)[0].x) == 5


def test_limits_are_those_of_the_run():
    """Of latencies alone, without the words that say which run it was."""
    said = [
        ("latency", "p95 TTFT (run 1 of 2)"),
        ("latency", "p99 e2e latency (run 2 of 2)"),
        ("error_rate", "x"),
    ]
    verdicts = [{"check": check, "what": what, "limit": 5.0} for check, what in said]
    assert limits({"runs": [1, 2], "verdicts": verdicts}, 1) == [("p99 e2e latency", 5.0)]
    one = [{"check": "latency", "what": "p95 TTFT", "limit": 5.0}]
    assert limits({"runs": [1], "verdicts": one}, 0) == [("p95 TTFT", 5.0)]


def test_limits_stand_over_the_time_of_the_runs_that_they_are_of():
    """Each in the plot of its latency, by its name; one that is far above all would press the lines flat."""
    verdicts = [
        ("p95 e2e latency (run 1 of 2)", 300.0),
        ("p95 e2e latency (run 2 of 2)", 300.0),
        ("p50 e2e latency (run 2 of 2)", 50.0),
        ("p99 e2e latency (run 1 of 2)", 90_000.0),
        ("p95 TTFT (run 1 of 2)", 50.0),
    ]
    told = [{"check": "latency", "what": what, "limit": limit} for what, limit in verdicts]
    plots = by_id(plots_of_test({"runs": [small_run(), small_run(5.0)], "verdicts": told}))
    drawn = {name: line for name, line in lines(plots["e2e"]).items() if line.style == "limit"}
    assert list(drawn) == ["limit p95 e2e latency 300 ms", "limit p50 e2e latency 50 ms"]
    both, second = drawn.values()
    assert (both.x, both.values) == ([0.0, 1.0, 5.0, 5.0, 6.0], [300.0, 300.0, None, 300.0, 300.0])
    assert (second.x, second.values) == ([5.0, 6.0], [50.0, 50.0])
    assert plots["e2e"].heads == ("s", "p50", "p95")


def test_plots_of_the_load_alone_begin_with_it():
    """What went before is empty there; with figures of the server it is not."""
    plots = plots_of_test({"runs": [small_run(5.0)], "verdicts": []})
    assert min(at for plot in plots for each in (plot, *plot.series) for at in each.x) == 5.0
    assert all(mark.at >= 5.0 for plot in plots for mark in plot.marks)


def test_percentiles_end_where_failures_begin():
    """The curve and the table know nothing behind that; a far limit is not drawn, nor one of a mean."""
    curve = {"q": [0.0, 0.5, 0.9, 0.95], "ms": [10.0, 20.0, 40.0, None]}
    nothing = {"q": [], "ms": []}
    quantiles = {"ttft_ms": curve, "itl_ms": nothing, "tpot_ms": nothing, "e2e_ms": nothing}
    asked = [("p95 TTFT", 100.0), ("p99 TTFT", 2000.0), ("mean TTFT", 30.0)]
    plot = percentiles(quantiles, asked)
    assert [series.name for series in plot.series] == ["TTFT", "limit p95 TTFT 100 ms"]
    assert plot.rows == [("p50", "20"), ("p90", "40"), ("p95", "∞"), ("p99", "∞"), ("p99.9", "∞")]
    assert plot.said == "TTFT p50 20 ms, p95 never (failed), p99 never (failed)."
    assert [series.style for series in plot.series] == ["line", "limit"]


def test_distribution_says_where_most_are_and_what_is_not_drawn():
    plot = distribution(
        {"edges": [1.0, 2.0, 4.0], "n": [3, 5], "failed": 2}, "TTFT", "time to first token", "a"
    )
    assert plot.said == "8 requests by time to first token; most often 2 to 4 ms; 2 failed and are not drawn."
    assert plot.rows == [("1 to 2", "3"), ("2 to 4", "5")]
    assert plot.series[0].values == [3, 5, 5]


def test_server_figures_that_are_read_rarely_are_joined_and_a_silence_is_a_gap():
    """And a limit far above what is used is left out; one reading is no course."""
    series = {
        "at_s": [float(at) for at in range(11)],
        "rss_mb": [10.0, 11.0, 12.0, *[None] * 6, 13.0, 14.0],
        "memory_mb": [9.0, None, None, None, None, 10.0, None, None, None, None, 12.0],
        "cgroup_mb": [20.0] * 11,
        "cgroup_limit_mb": [41.0] * 11,
        "cpu_percent": [50.0, *[None] * 10],
    }
    (memory,) = server_plots(series, (), "t")
    drawn = lines(memory)
    assert list(drawn) == ["RSS", "USS + swap", "control group"]
    assert drawn["RSS"].values == [10.0, 11.0, 12.0, None, 13.0, 14.0]
    assert drawn["RSS"].x == [0.0, 1.0, 2.0, 5.5, 9.0, 10.0]
    assert (drawn["USS + swap"].values, drawn["USS + swap"].x) == ([9.0, 10.0, 12.0], [0.0, 5.0, 10.0])
    assert (drawn["control group"].values, drawn["control group"].x) == ([20.0] * 11, ())
    assert memory.said.startswith("RSS from 10 MB to 14 MB, highest 14 MB at 10 s; USS + swap from 9 MB")
    assert memory.rows[3] == ("3", "-", "-", "20")
    close = server_plots(series | {"cgroup_limit_mb": [39.0] * 11}, (), "t")[0]
    assert "its limit" in lines(close)


def test_stages_are_compared_where_they_rise():
    """Three levels or more, each higher than the last; ramps are no level."""

    def stage(users):
        quantiles = {"p95": 10.0}
        return {"label": "", "users": users, "requests_per_s": 2.0, "ttft_ms": quantiles, "e2e_ms": quantiles}

    assert [plot.x for plot in stage_plots([stage(1), stage(2), stage([2, 4]), stage(4)])] == [[1, 2, 4]] * 2
    assert stage_plots([stage(1), stage(2)]) == []
    assert stage_plots([stage(1), stage(4), stage(2)]) == []


def test_marks_stand_in_the_order_of_time_each_once():
    rows = [
        {"at_s": 5.0, "kind": "log", "label": "b"},
        {"at_s": 1.0, "until_s": 2.0, "kind": "stage", "label": "a"},
        {"at_s": 5.0, "kind": "log", "label": "b"},
    ]
    assert marks_of(rows) == [Mark(1.0, "a", "stage", 2.0), Mark(5.0, "b", "log")]


def test_words_of_figures_and_courses():
    told = [figure_text(value) for value in (0.0, 0.456, 12.34, 1234.5, None, math.inf)]
    assert told == ["0", "0.46", "12.3", "1,234", "-", "∞"]
    assert course_text([0.0], Series("p50", [None], "ms")) == "p50: none"
    assert level_text([0.0], Series("p50", [None], "ms")) == "p50: none"
    assert level_text([0.0, 1.0], Series("p95", [math.inf] * 2, "ms")) == (
        "p95 never (failed) in 2 of 2 intervals"
    )
    assert level_text([1.0, 2.0, 3.0], Series("p50", [5.0, 9.0, 7.0], "ms")) == (
        "p50 7 ms in the median, highest 9 ms at 2 s"
    )


def test_hundreds_of_tests_share_the_room_for_plots(bad):
    """Those that come first have all; then single requests are left out, then plots, and the page says so."""
    found = place([(bad, f"test-{number}") for number in range(40)])
    assert "requests" in lines(found[0].whole[0])
    fewer = next(each for each in found if each.whole and "requests" not in lines(each.whole[0]))
    assert "failed" in lines(fewer.whole[0])
    assert (found[-1].whole, found[-1].missing) == ((), NO_ROOM)
    assert [len(run) for run in found[-1].runs] == [0] * len(bad["runs"])
    assert sum(weight(plot) for each in found for plot in each.all) < 160_000
    assert place([({"runs": []}, "empty")])[0].missing == ""
    ids = [plot.id for each in found for plot in each.all]
    assert len(ids) == len(set(ids))
    assert asdict(found[0].whole[0])["link"] == "test-0-time"

"""The server's figures in reports, on literal samples."""

from __future__ import annotations

import json

import msgspec

from pytest_llmserve.domain.samples import FIGURES, GpuSample, ResourceSample, ResourceWindow
from pytest_llmserve.reports.document import run_document, watched_document
from pytest_llmserve.reports.figures import MOST_POINTS, peak_lines, series, summary_text

S = 1_000_000_000
MB = 1_000_000
FULL = ResourceWindow(
    samples=tuple(
        ResourceSample(
            at_ns=second * S,
            processes=2,
            rss_bytes=(1000 + second) * MB,
            uss_bytes=900 * MB,
            pss_bytes=950 * MB,
            shared_bytes=90 * MB,
            held_bytes=95 * MB,
            swap_bytes=7 * MB,
            cpu_percent=50.0 + second,
            busiest_percent=40.0,
            threads=8,
            open_files=21,
            gpu_bytes=20_000 * MB,
            gpus=(
                GpuSample(index=0, memory_bytes=23_808 * MB, total_bytes=24_000 * MB, percent=68.0 + second,
                          temperature_c=71.0, power_w=66.4, throttled="thermal, power cap" if second else ""),
                GpuSample(index=1, percent=3.0),
            ),
            cgroup_bytes=3_500 * MB,
            cgroup_limit_bytes=4_000 * MB,
            oom_kills=2 + second,
            throttled_ns=40 * S + second * S,
            running=4.0,
            waiting=10.0 + second,
            kv_cache_percent=91.0,
            host_cpu_percent=88.0,
            host_available_bytes=(900 - second) * MB,
        )
        for second in range(3)
    ),
    gpu_names={0: "GPU 0 (NVIDIA L4)", 1: "GPU 1 (NVIDIA L4)"},
    gpu="GPU memory of the server's processes",
)  # fmt: skip
PAGE_ONLY = ResourceWindow(
    samples=(ResourceSample(at_ns=S, waiting=3.0),), missing="the server is on another machine"
)


def test_a_failure_shows_every_figure_that_was_read():
    """What belongs together on a line."""
    assert peak_lines(FULL) == [
        "server, peaks: RSS 1002 MB, USS + swap 907 MB, GPU memory 20000 MB, CPU 52 %, threads 8,"
        " open files 21, swap 7 MB, shared memory 90 MB",
        "  GPU 0 (NVIDIA L4): memory 99 %, 23808 MB, busy 69 %, 71 °C, 66 W, held back: thermal, power cap",
        "  GPU 1 (NVIDIA L4): busy 3 %",
        "  requests: in work 4, in the queue 12, KV cache 91 %",
        "  control group: 3500 MB of 4000 MB, waited 2.0 s for CPU, out-of-memory kills 2",
        "  machine: CPU 88 %, 898 MB of memory left at the least",
    ]


def test_a_server_of_which_only_its_page_is_known():
    """The page's figures, and why there are no others."""
    assert peak_lines(PAGE_ONLY) == [
        "server, peaks:",
        "  requests: in the queue 3",
        "  its processes: not watched: the server is on another machine",
    ]
    assert peak_lines(ResourceWindow()) == []


def test_a_server_that_full_readings_hold_up_is_told_so():
    """From 50 ms on."""
    text = "  a full reading of the server's memory takes 54 ms: it is held up for as long"
    for full_ns, told in ((None, []), (50_000_000, []), (54_400_000, [text])):
        assert peak_lines(msgspec.structs.replace(FULL, full_ns=full_ns)) == peak_lines(FULL) + told


def test_the_summary_shows_them_on_one_line(make):
    run = make.run([make.record(0)], resources=FULL)
    assert summary_text(run_document(run, False)["resources"]) == (
        "server: RSS 1001 MB, peak 1002 MB, USS + swap peak 907 MB, shared memory peak 90 MB, CPU 51 %,"
        " swap peak 7 MB, queue peak 12, KV cache peak 91 %, denied CPU for 2 s, out-of-memory kills 2,"
        " GPU 0 (NVIDIA L4) memory 99 %, busy 69 %, GPU 1 (NVIDIA L4) busy 3 %"
    )
    remote = make.run([make.record(0)], resources=PAGE_ONLY)
    assert summary_text(run_document(remote, False)["resources"]) == (
        "server: queue peak 3; its processes not watched: the server is on another machine"
    )


def test_the_report_has_each_gpu_and_what_rose():
    found = json.loads(json.dumps(watched_document(FULL, 0), allow_nan=False))
    first, second = found["gpus"]
    assert first == {
        "name": "GPU 0 (NVIDIA L4)",
        "memory_mb_peak": 23808.0,
        "memory_percent_peak": 99.2,
        "percent_median": 69.0,
        "percent_peak": 70.0,
        "temperature_c_peak": 71.0,
        "power_w_peak": 66.4,
        "throttled": ["thermal", "power cap"],
    }
    assert (second["name"], second["memory_mb_peak"], second["throttled"]) == ("GPU 1 (NVIDIA L4)", None, [])
    assert (found["oom_kills_rise"], found["throttled_s_rise"]) == (2.0, 2.0)
    assert (found["host_available_mb_lowest"], found["cores"]) == (898.0, None)
    assert set(found["series"]) == {"at_s", *FIGURES}
    assert found["series"]["queue"] == [10.0, 11.0, 12.0]
    bare = watched_document(ResourceWindow(missing="not watched", absent={"gpu": "no driver"}), None)
    assert bare == {"n": 0, "missing": "not watched", "absent": {"gpu": "no driver"}, "cores": None}


def test_a_series_is_short_and_loses_no_peak():
    """10,000 samples: each point is the highest of its stretch, of available memory the lowest."""
    rss = [100 + (7 if at == 4_321 else 0) for at in range(10_000)]
    samples = tuple(
        ResourceSample(
            at_ns=5 * S + at * S // 5,
            rss_bytes=rss[at] * MB,
            host_available_bytes=(500 - rss[at]) * MB,
            waiting=1.0 if at < 50 else None,
        )
        for at in range(10_000)
    )
    found = series(ResourceWindow(samples=samples), started_ns=4 * S)
    assert {len(points) for points in found.values()} == {MOST_POINTS}
    assert set(found) == {"at_s", "rss_mb", "host_available_mb", "queue"}
    assert (found["at_s"][0], found["at_s"][-1]) == (1 + 49 / 5, 1 + 9_999 / 5)
    assert (max(found["rss_mb"]), min(found["host_available_mb"])) == (107.0, 393.0)
    assert found["queue"] == [1.0, *[None] * (MOST_POINTS - 1)]
    assert len(json.dumps(found)) < 12_000
    short = series(ResourceWindow(samples=samples[:7]), started_ns=None)
    assert short["at_s"] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2]
    assert series(ResourceWindow(), None) == {}

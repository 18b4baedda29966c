"""The check of resource peaks."""

from __future__ import annotations

import msgspec
import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.resources import Resources
from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
from pytest_llmserve.domain.samples import METRICS, PROCESS, GpuSample, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_S


def only(check: Resources, resources, **more):
    (verdict,) = check.judge(Evidence(resources=resources, **more))
    return verdict


@pytest.mark.parametrize(
    ("limit", "verdict", "holds"), [(119, "fail", False), (120, "pass", True), (121, "pass", True)]
)
def test_the_peak_is_judged_under_at_and_over_the_limit(limit, verdict, holds, make):
    found = only(Resources(rss_mb=limit), make.samples([90, 120, 110]))
    assert (found.verdict, found.holds, found.estimate, found.n) == (verdict, holds, 120.0, 3)
    assert (found.confidence, found.interval) == (1.0, None)


def test_a_failure_says_when(make):
    """Samples at seconds 1, 2, 3 of the clock; the test began at half a second."""
    found = only(Resources(rss_mb=100), make.samples([90, 120, 110]), started_ns=NS_PER_S // 2)
    assert found.sentence == "peak RSS 120 MB > 100 MB, 1.5 s into the test (n=3 samples)"
    assert only(Resources(rss_mb=100), make.samples([90, 120, 110])).sentence == (
        "peak RSS 120 MB > 100 MB, 1.0 s into the test (n=3 samples)"
    )


@pytest.mark.parametrize(
    ("keyword", "field", "value", "sentence"),
    [
        ("uss_mb", "uss_bytes", 50_000_000, "peak USS 50.0 MB > 1 MB"),
        ("memory_mb", "uss_bytes", 50_000_000, "peak memory (USS + swap) 50.0 MB > 1 MB"),
        ("cpu_percent", "cpu_percent", 180.0, "peak CPU 180% > 1%"),
        ("threads", "threads", 12, "peak threads 12 > 1"),
        ("open_files", "open_files", 44, "peak open files 44 > 1"),
        ("processes", "processes", 3, "peak processes 3 > 1"),
    ],
)
def test_each_figure_is_read_from_its_own_field(keyword, field, value, sentence, make):
    base = make.samples([10])
    resources = base.__class__(
        samples=tuple(s.__class__(**{"at_ns": s.at_ns, "processes": 1, "rss_bytes": 1, field: value})
                      for s in base.samples)
    )  # fmt: skip
    found = only(Resources(**{keyword: 1}), resources)
    assert found.sentence == f"{sentence}, 0.0 s into the test (n=1 samples)"


def gpus(*percents, total_mb=24_000):
    """One sample of one device each, numbered from 0."""
    return tuple(
        GpuSample(index=i, memory_bytes=round(p * total_mb * 10_000), total_bytes=total_mb * 1_000_000)
        for i, p in enumerate(percents)
    )


def told(**series):
    """A sample a second from second 1 on; each keyword a field and its readings."""
    length = max(len(values) for values in series.values())
    return tuple(
        ResourceSample(at_ns=(at + 1) * NS_PER_S, **{field: values[at] for field, values in series.items()})
        for at in range(length)
    )


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (
            Resources(gpu_memory_percent=92),
            "peak GPU memory 99.2% > 92% on GPU 1 (NVIDIA L4), 1.0 s into the test (n=3 samples)",
        ),
        (
            Resources(gpu_memory_mb=23_000),
            "peak GPU memory 23808 MB > 23000 MB on GPU 1 (NVIDIA L4), 1.0 s into the test (n=3 samples)",
        ),
        (
            Resources(gpu_memory_percent=99.5),
            "peak GPU memory 99.2% <= 99.5% on GPU 1 (NVIDIA L4) (n=3 samples)",
        ),
    ],
)
def test_the_fullest_gpu_is_named(check, sentence):
    window = ResourceWindow(
        samples=told(gpus=[gpus(50, 40), gpus(51, 99.2), gpus(52, 60)]), gpu_names={1: "GPU 1 (NVIDIA L4)"}
    )
    assert only(check, window).sentence == sentence


def test_a_gpu_without_a_name_has_its_number():
    window = ResourceWindow(samples=told(gpus=[gpus(95)]))
    assert only(Resources(gpu_memory_percent=92), window).sentence == (
        "peak GPU memory 95.0% > 92% on GPU 0, 0.0 s into the test (n=1 samples)"
    )


@pytest.mark.parametrize(
    ("check", "word", "sentence"),
    [
        (Resources(queue=10), "fail", "peak queue length 14 > 10, 1.0 s into the test (n=2 samples)"),
        (Resources(queue=14), "pass", "peak queue length 14 <= 14 (n=2 samples)"),
        (Resources(queue=0), "fail", "peak queue length 14 > 0, 1.0 s into the test (n=2 samples)"),
        (
            Resources(kv_cache_percent=95),
            "fail",
            "peak KV cache 97.5% > 95%, 1.0 s into the test (n=2 samples)",
        ),
        (Resources(kv_cache_percent=98), "pass", "peak KV cache 97.5% <= 98% (n=2 samples)"),
    ],
)
def test_the_highest_of_what_the_server_says_is_judged(check, word, sentence):
    """Its page is read less often than the rest: samples without the figure are no readings of 0."""
    window = ResourceWindow(samples=told(waiting=[3.0, 14.0, None], kv_cache_percent=[20.0, 97.5, None]))
    found = only(check, window)
    assert (found.verdict, found.sentence) == (word, sentence)


NO_PAGE = "the server's metrics are not available, because http://h/metrics answered 404"


@pytest.mark.parametrize(
    ("check", "window", "sentence"),
    [
        (
            Resources(queue=10),
            ResourceWindow(samples=told(rss_bytes=[1]), absent={"metrics": NO_PAGE}),
            f"peak queue length: no evidence, {NO_PAGE}; give --llm-metrics-url=URL of a page that tells it",
        ),
        (
            Resources(queue=10),
            ResourceWindow(samples=told(rss_bytes=[1])),
            "peak queue length: no evidence, queue was not read;"
            " give --llm-metrics-url=URL of a page that tells it",
        ),
        (
            Resources(kv_cache_percent=90),
            ResourceWindow(samples=told(waiting=[1.0])),
            "peak KV cache: no evidence, the server's metrics do not tell kv_cache_percent;"
            " give --llm-metrics-url=URL of a page that does",
        ),
        (
            Resources(gpu_memory_percent=92),
            ResourceWindow(samples=told(rss_bytes=[1]), absent={"gpu": "no NVIDIA driver is installed"}),
            "peak GPU memory: no evidence, no NVIDIA driver is installed;"
            " for GPUs of another machine give --llm-metrics-url of their exporter",
        ),
        (
            Resources(gpu_memory_mb=92),
            ResourceWindow(samples=told(gpus=[(GpuSample(index=0, percent=3.0),)])),
            "peak GPU memory: no evidence, the GPUs' driver does not tell gpu_memory_mb",
        ),
        (
            Resources(rss_mb=92),
            ResourceWindow(missing="no process is known; give --llm-server-pid"),
            "peak RSS: no evidence, no process is known; give --llm-server-pid",
        ),
    ],
)
def test_what_a_source_does_not_tell_is_no_evidence(check, window, sentence):
    """Its own reason, and the option that would help, once."""
    found = only(check, window)
    assert (found.verdict, found.estimate, found.sentence) == ("undecided", None, sentence)


@pytest.mark.parametrize(("limit", "word"), [(20, "undecided"), (13, "fail")])
def test_metrics_that_were_lost_are_no_pass(limit, word):
    """A peak over the limit before it is a failure all the same; other sources are judged on."""
    lost = ResourceWindow(
        samples=told(waiting=[2.0, 14.0, None], rss_bytes=[1, 1, 1]), absent={"metrics": "refused"}
    )
    found = only(Resources(queue=limit), lost)
    assert found.verdict == word
    if word == "undecided":
        assert found.sentence == (
            "peak queue length: no evidence, watching ended 1.0 s into the test: refused"
        )
    assert only(Resources(rss_mb=1), lost).verdict == "pass"


@pytest.mark.parametrize(
    ("at_s", "limit", "verdict"),
    [
        ((1.0, 6.0), 9, "undecided"),
        ((1.0, 2.0, 6.0), 9, "pass"),
        ((1.0, 5.0), 9, "pass"),
        ((1.0, 6.0), 6, "fail"),
    ],
    ids=["none", "at its start", "at the end of the other", "over the limit all the same"],
)
def test_what_was_not_read_while_any_load_ran_is_no_pass(at_s, limit, verdict, make):
    """Two loads, from second 2 to 3 and from 4 to 5."""
    window = ResourceWindow(samples=tuple(ResourceSample(at_ns=int(s * NS_PER_S), waiting=7) for s in at_s))
    runs = tuple(
        make.run([make.record(0, 1000.0, sent_ns=s * NS_PER_S)], window_ns=(s * NS_PER_S, s * NS_PER_S))
        for s in (2, 4)
    )
    found = only(Resources(queue=limit), window, runs=runs)
    assert found.verdict == verdict
    if verdict == "undecided":
        assert found.sentence == (
            "peak queue length: no evidence, queue was not read while the load ran: run longer"
        )


@pytest.mark.parametrize(
    ("at_s", "verdict"),
    [((0, 1, 9), "pass"), ((0, 5, 9), "pass"), ((0, 1), "undecided"), ((4, 5), "undecided")],
)
def test_cpu_is_of_the_whole_stretch_since_it_was_told_before(at_s, verdict, make):
    """A load from second 2 to 3 lies within it; the first reading has none."""
    first, *later = at_s
    told = tuple(ResourceSample(at_ns=second * NS_PER_S, cpu_percent=50.0) for second in later)
    window = ResourceWindow(samples=(ResourceSample(at_ns=first * NS_PER_S), *told))
    run = make.run([make.record(0, 1000.0, sent_ns=2 * NS_PER_S)], window_ns=(2 * NS_PER_S, 2 * NS_PER_S))
    assert only(Resources(cpu_percent=100), window, runs=(run,)).verdict == verdict


def test_a_test_too_short_for_a_reading_of_cpu_says_so(make):
    assert only(Resources(cpu_percent=100), make.samples([90])).sentence == (
        "peak CPU: no evidence, cpu_percent is told of a fifth of a second and more: run longer"
    )


def test_passing_says_found_and_promised(make):
    assert (
        only(Resources(processes=3), make.samples([90, 80])).sentence == "peak processes 1 <= 3 (n=2 samples)"
    )


def test_a_probe_lost_on_the_way_is_no_pass(make):
    """What came after is not known: the server may have died of it."""
    lost = make.samples([90, 80], missing="the server's process 12 ended")
    found = only(Resources(rss_mb=100), lost)
    assert (found.verdict, found.estimate, found.holds) == ("undecided", None, None)
    assert found.sentence == (
        "peak RSS: no evidence, watching ended 1.0 s into the test: the server's process 12 ended"
    )


def test_a_peak_over_the_limit_is_a_failure_even_if_the_probe_was_lost_later(make):
    assert only(Resources(rss_mb=85), make.samples([90, 80], missing="gone")).verdict == "fail"


@pytest.mark.parametrize(
    ("check", "samples", "missing", "sentence"),
    [
        (
            Resources(rss_mb=100),
            [],
            "there is no process 12",
            "peak RSS: no evidence, there is no process 12",
        ),
        (
            Resources(uss_mb=100),
            [90],
            None,
            (
                "peak USS: no evidence, the system does not tell uss_mb of this process:"
                " run as the server's user"
            ),
        ),
        (Resources(rss_mb=100), [], None, "peak RSS: no evidence, no sample was taken during the test"),
    ],
)
def test_what_was_not_read_is_no_evidence(check, samples, missing, sentence, make):
    found = only(check, make.samples(samples, missing=missing))
    assert (found.verdict, found.estimate, found.sentence) == ("undecided", None, sentence)


def test_each_limit_has_a_verdict(make):
    found = Resources(rss_mb=100, processes=3).judge(Evidence(resources=make.samples([120])))
    assert [(v.what, v.verdict) for v in found] == [("peak RSS", "fail"), ("peak processes", "pass")]


@pytest.mark.parametrize(
    ("keywords", "fault"),
    [
        (
            {},
            (
                "resources: needs at least one limit:"
                " rss_mb, uss_mb, memory_mb, cpu_percent, threads, open_files, processes,"
                " gpu_memory_percent, gpu_memory_mb, queue, kv_cache_percent"
            ),
        ),
        ({"rss_mb": 0}, "resources: rss_mb: 0 is not over 0"),
        ({"rss": 5}, "resources: no keyword 'rss', did you mean rss_mb?"),
        ({"queue": -1}, "resources: queue: -1 is below 0"),
        ({"gpu_memory_percent": 0.0}, "resources: gpu_memory_percent: 0.0 is not over 0"),
        ({"kv_cache_percent": 900}, "resources: kv_cache_percent: 900 is over 100: it is in percent"),
    ],
)
def test_a_faulty_marker_is_refused(keywords, fault):
    with pytest.raises(MarkerError) as caught:
        build(Resources, "resources", (), keywords)
    assert str(caught.value) == fault


def test_a_verdict_on_some_of_several_replicas_says_so(make):
    """Of processes and of metrics, each in its own words; kept or not."""
    parts = {PROCESS: "of 1 of 2 replicas: why", METRICS: "of 1 of 3 replicas: because"}
    resources = msgspec.structs.replace(make.samples([90], waiting=4), parts=parts)
    assert only(Resources(rss_mb=100), resources).sentence == (
        "peak RSS 90.0 MB <= 100 MB (n=1 samples): of 1 of 2 replicas: why"
    )
    assert only(Resources(queue=3), resources).sentence.endswith(": of 1 of 3 replicas: because")
    assert "replicas" not in only(Resources(cpu_percent=100), make.samples([90], cpu_percent=3.0)).sentence

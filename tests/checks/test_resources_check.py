"""The check of resource peaks."""

from __future__ import annotations

import pytest

from pytest_llmserve.checks.evidence import Evidence
from pytest_llmserve.checks.resources import Resources
from pytest_llmserve.domain.errors import MarkerError
from pytest_llmserve.domain.keywords import build
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
            "10.0.0.5 is not this machine",
            (
                "peak RSS: no evidence, 10.0.0.5 is not this machine;"
                " for a server on this machine give --llm-server-pid"
            ),
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
                " rss_mb, uss_mb, memory_mb, cpu_percent, threads, open_files, processes"
            ),
        ),
        ({"rss_mb": 0}, "resources: rss_mb: 0 is not over 0"),
        ({"rss": 5}, "resources: no keyword 'rss', did you mean rss_mb?"),
    ],
)
def test_a_faulty_marker_is_refused(keywords, fault):
    with pytest.raises(MarkerError) as caught:
        build(Resources, "resources", (), keywords)
    assert str(caught.value) == fault

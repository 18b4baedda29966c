"""Samples in columns: what goes in comes out, and room is bounded."""

from __future__ import annotations

import sys

import pytest

from pytest_llmserve.domain.samples import GpuSample, ResourceSample
from pytest_llmserve.observe.series import SampleSeries, thinned


def sample(at_ns: int, rss_bytes: int = 1, **figures) -> ResourceSample:
    return ResourceSample(at_ns=at_ns, processes=1, rss_bytes=rss_bytes, **figures)


ZERO = GpuSample(index=0, power_w=9.5)
ONE = GpuSample(index=1, memory_bytes=2**52 + 1, percent=0.5, throttled="thermal")


def test_what_goes_in_comes_out():
    """Whole numbers whole, what nobody told None, devices that come late or go."""
    samples = [
        ResourceSample(at_ns=2**62 + 1, waiting=3.0),
        sample(
            5, rss_bytes=2**52 + 3, cpu_percent=0.1, late_ns=7, gpus=(GpuSample(index=0, power_w=9.5), ONE)
        ),
        sample(6, gpus=(ONE,)),
        sample(7, threads=0, throttled_ns=4),
    ]
    series = SampleSeries()
    for one in samples:
        series.append(one)
    assert list(series.all()) == samples
    assert [type(s.threads) for s in series.all()] == [type(None)] * 3 + [int]
    assert series.since(6, 7) == tuple(samples[2:])
    assert len(series) == 4


def test_the_last_reading_of_a_field_is_found():
    """Also where newer samples lack it, as of what is told once a second; not where nobody told it lately."""
    series = SampleSeries()
    assert series.last("waiting") is None
    series.append(sample(1, waiting=3.0))
    assert series.last("waiting") == 3.0
    for at_ns in range(19):
        series.append(sample(at_ns))
    assert (series.last("waiting"), series.last("rss_bytes"), series.last("swap_bytes")) == (3.0, 1, None)
    series.append(sample(99))
    assert series.last("waiting") is None


def test_a_sample_takes_eight_bytes_a_figure():
    """Ten thousand of six figures in less than a megabyte."""
    series = SampleSeries()
    for at_ns in range(10_000):
        series.append(sample(at_ns, uss_bytes=at_ns, cpu_percent=1.5, threads=3, open_files=9))
    columns = [series._at_ns, series._late_ns, *series._columns.values()]
    assert sum(sys.getsizeof(column) for column in columns) < 1_000_000
    assert len(columns) == 8


def test_a_series_is_thinned_in_place():
    series = SampleSeries()
    for at_ns in range(100):
        series.append(sample(at_ns, gpus=(ONE,)))
    series.thin()
    assert list(series.all()) == thinned([sample(at_ns, gpus=(ONE,)) for at_ns in range(100)])
    assert len(series) == 50


def test_thinning_keeps_the_peak_of_every_figure():
    samples = [sample(i, rss_bytes=100) for i in range(100)]
    samples[30] = sample(30, rss_bytes=90, threads=40)
    samples[31] = sample(31, rss_bytes=500)
    samples[50] = sample(50, rss_bytes=80, cpu_percent=300.0)
    kept = thinned(samples)
    assert len(kept) == 51
    assert {30, 31, 50} <= {s.at_ns for s in kept}


def test_thinning_does_not_lift_the_past():
    """Of readings that go up and down, as many of either are kept: else later ones would seem to fall."""
    samples = [sample(i, rss_bytes=110 if (i // 2 + i) % 2 else 90) for i in range(400)]
    kept = thinned(samples)
    assert sum(s.rss_bytes for s in kept) / len(kept) == pytest.approx(100, abs=1)


def test_thinning_keeps_the_costly_readings():
    samples = [sample(i, rss_bytes=100, uss_bytes=90 if i % 2 else None) for i in range(100)]
    assert all(s.uss_bytes == 90 for s in thinned(samples) if s.at_ns > 1)

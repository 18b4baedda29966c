"""The properties of a test in JUnit's file."""

from __future__ import annotations

from pytest_llmserve.domain.samples import GpuSample, ResourceSample, ResourceWindow
from pytest_llmserve.domain.verdict import Verdict
from pytest_llmserve.plugin.properties import with_figures


def test_the_servers_peaks_are_told():
    """Beside what was there; of counters what they rose by; not of available memory, which has no peak."""
    window = ResourceWindow(
        samples=tuple(
            ResourceSample(
                at_ns=at,
                rss_bytes=(1000 + at) * 1_000_000,
                waiting=10.0 + at,
                oom_kills=3 + at,
                host_available_bytes=9,
                gpus=(GpuSample(index=0, memory_bytes=96, total_bytes=100),),
            )
            for at in range(3)
        )
    )
    assert with_figures([("mine", 1), ("llmserve.peak.queue", 99.0)], [], [], window) == [
        ("mine", 1),
        ("llmserve.peak.rss_mb", 1002.0),
        ("llmserve.peak.gpu_memory_percent", 96.0),
        ("llmserve.peak.gpu_memory_mb", 0.0),
        ("llmserve.peak.oom_kills", 2.0),
        ("llmserve.peak.queue", 12.0),
    ]


def test_a_name_that_xml_lacks_a_character_of_is_made_fit():
    """pytest sees to values alone, and a verdict's name may hold that of a task or a replica."""
    verdict = Verdict(
        check="isolation",
        what="right answers of \x00a\x1b[1m",
        limit=1.0,
        estimate=None,
        interval=None,
        confidence=0.95,
        n=0,
        verdict="undecided",
        sentence="",
    )
    told = with_figures([], [], [verdict], ResourceWindow())
    assert told == [("llmserve.verdict.right answers of \ufffda\ufffd[1m", "undecided")]

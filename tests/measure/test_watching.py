"""Watching a server's process, and what is said when that cannot be."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_llmserve.measure.watch import Watch


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait(10)


def test_a_process_is_sampled(sleeper):
    """From start to stop; a sample can be asked for."""
    watch = Watch(sleeper.pid, "told")
    watch.start()
    assert watch.sample_now() is not None
    watch.stop()
    assert watch.window().peak("rss_mb") > 1
    assert watch.window().missing is None


def test_without_a_pid_the_reason_and_the_way_out_are_told():
    """Nothing is sampled, nothing raised."""
    watch = Watch(None, "the server is on another machine")
    watch.start()
    assert watch.sample_now() is None
    watch.stop()
    assert watch.window().samples == ()
    assert watch.window().missing == (
        "the server is on another machine; for a server on this machine give --llm-server-pid"
    )
    assert watch.memory().change(0).missing == watch.window().missing


def test_the_way_out_is_not_told_twice():
    """Some reasons name the option already."""
    assert Watch(None, "give --llm-server-pid").window().missing == "give --llm-server-pid"


def test_a_process_that_has_ended_is_told(sleeper):
    """At the start: no samples, and why."""
    sleeper.kill()
    sleeper.wait(10)
    watch = Watch(sleeper.pid, "told")
    watch.start()
    watch.stop()
    assert str(sleeper.pid) in watch.window().missing
    assert watch.memory().change(0).retained_bytes is None


def test_memory_before_and_after_is_read(sleeper):
    """A sleeping process keeps nothing."""
    watch = Watch(sleeper.pid, "told")
    memory = watch.memory()
    memory.take_baseline()
    change = memory.change(100_000_000)
    assert change.missing is None
    assert abs(change.retained_bytes) < 5_000_000
    assert min(len(change.before), len(change.after)) >= 6


def test_memory_without_a_baseline_says_so():
    """A run that ended before its warm-up did."""
    change = Watch(os.getpid(), "told").memory().change(0)
    assert change.missing == "the run ended before its memory baseline was read"
    assert change.retained_bytes is None


def test_a_process_that_ends_after_the_baseline_is_told(sleeper):
    """Not a gain of memory."""
    memory = Watch(sleeper.pid, "told").memory()
    memory.take_baseline()
    sleeper.kill()
    sleeper.wait(10)
    change = memory.change(100_000_000)
    assert change.retained_bytes is None
    assert change.missing is not None


def test_a_process_lost_at_the_very_end_is_told(sleeper):
    """After the last reading of the sampler: the sample asked for finds out, and the window says so."""
    watch = Watch(sleeper.pid, "told")
    sleeper.kill()
    sleeper.wait(10)
    assert watch.sample_now() is None
    watch.stop()
    assert str(sleeper.pid) in watch.window().missing


def test_memory_as_last_read_is_told_as_long_as_it_is_known(sleeper):
    """For a line of progress: not before the first sample, and nothing stale once the process is gone."""
    watch = Watch(sleeper.pid, "told")
    assert watch.rss_bytes() is None
    watch.sample_now()
    assert watch.rss_bytes() == watch.window().samples[-1].rss_bytes > 1_000_000
    sleeper.kill()
    sleeper.wait(10)
    watch.start()
    watch.stop()
    assert watch.rss_bytes() is None
    assert Watch(None, "elsewhere").rss_bytes() is None

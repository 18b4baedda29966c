"""A run that ends once all is decided, and every other way in which it may end."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pytest_llmserve.domain.errors import GeneratorError
from pytest_llmserve.domain.plan import LoadPlan
from pytest_llmserve.domain.target import target_from_url
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.load.engine import LoadRun
from pytest_llmserve.measure import run as measuring
from pytest_llmserve.measure.probes import Watched
from pytest_llmserve.measure.run import Stopped, measured_run
from pytest_llmserve.measure.watch import Watch
from pytest_llmserve.serve.ready import wait_ready

LONG = LoadPlan(users=4, duration_ns=120 * NS_PER_S, until="decided")


@pytest.fixture
def measure(mock_server, tmp_path):
    """``measure(plan, decided, **more)`` -> (what was kept, what was returned or raised)."""
    server = mock_server("--ttft-ms", 10, "--tokens", 3)
    endpoint = wait_ready(target_from_url(server.url), limit_ns=30 * NS_PER_S)
    watch = Watch(Watched(pid=server.pid, why="told"))
    watch.start()

    def run(plan, decided, **more):
        kept = []
        try:
            prompts, folder = ["Say hi."], tmp_path / "run"
            return kept, measured_run(
                endpoint.target, plan, prompts, folder, watch, kept.append, decided=decided, **more
            )
        except (Stopped, KeyboardInterrupt, GeneratorError, AssertionError) as error:
            return kept, error

    yield run
    watch.stop()
    endpoint.close()


def enough(number, seen=None):
    """Decided with so many requests; what it is asked about goes to `seen`."""

    def decided(so_far):
        if seen is not None:
            seen.append(so_far)
        return len(so_far.requests) >= number

    return decided


@pytest.mark.parametrize("workers", [1, 2])
def test_it_ends_when_all_is_decided(measure, workers):
    """What it is asked about is of this run; all that was sent is in the result."""
    seen, began = [], time.monotonic()
    plan = LoadPlan(users=4, duration_ns=120 * NS_PER_S, until="decided", workers=workers)
    kept, result = measure(plan, enough(60, seen))
    assert time.monotonic() - began < 60
    assert kept == [result]
    assert result.generator.ended == "decided"
    assert len(result.requests) >= len(seen[-1].requests) >= 60
    assert all(len(look.requests) < 60 for look in seen[:-1])
    first = {(r.id, r.sent_ns, r.end_ns) for r in seen[-1].requests}
    assert first <= {(r.id, r.sent_ns, r.end_ns) for r in result.requests}


def test_memory_is_judged_after_it_as_after_any_run(measure):
    _, result = measure(LONG, enough(20), settle_ns=100_000_000)
    assert (result.memory.missing, result.generator.ended) == (None, "decided")
    assert result.memory.retained_bytes is not None


def test_what_is_never_decided_ends_with_the_plan(measure):
    """As any other run; it is complete."""
    plan = LoadPlan(users=2, duration_ns=2 * NS_PER_S, until="decided")
    seen = []
    _, result = measure(plan, enough(10**6, seen))
    assert (result.generator.ended, len(seen) > 0) == ("complete", True)
    assert 1.5 < result.duration_s < 20


def test_its_most_requests_end_it_too(measure):
    plan = LoadPlan(users=2, requests=50, duration_ns=120 * NS_PER_S, until="decided")
    _, result = measure(plan, enough(10**6))
    assert (len(result.requests), result.generator.ended) == (50, "complete")


def test_an_interrupt_keeps_what_was_measured(measure):
    """While it is being decided, too."""

    def decided(so_far):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(20)
        raise AssertionError("the interrupt did not come")

    began = time.monotonic()
    kept, raised = measure(LONG, decided)
    assert isinstance(raised, KeyboardInterrupt)
    assert time.monotonic() - began < 20
    assert len(kept) == 1
    assert (len(kept[0].ok) >= 20, kept[0].generator.ended) == (True, "interrupted")


def test_a_stop_from_another_thread_keeps_what_was_measured(measure):
    stop = threading.Event()
    timer = threading.Timer(1.5, stop.set)
    timer.start()
    kept, raised = measure(LONG, enough(10**6), stop=stop)
    timer.join()
    assert isinstance(raised, Stopped)
    assert (len(kept[0].ok) > 0, kept[0].generator.ended) == (True, "interrupted")


def test_what_progress_raises_ends_it_and_keeps_what_was_measured(measure):
    """Though nothing is decided yet."""

    def progress(now):
        assert now.ended < 20, "enough of it"

    kept, raised = measure(LONG, enough(10**6), progress=progress)
    assert isinstance(raised, AssertionError)
    assert "enough of it" in str(raised)
    assert kept[0].generator.ended == "interrupted"


def test_progress_is_told_until_the_end(measure):
    """With the figures of the end, those of the drain among them."""
    told = []
    _, result = measure(LONG, enough(60), progress=told.append)
    assert (told[-1].ended, told[-1].active) == (len(result.requests), 0)
    assert told[-1].total_ns == 120 * NS_PER_S


def test_a_worker_that_dies_in_the_drain_makes_the_run_void(measure, monkeypatch):
    """Decided or not: its records would be missing."""
    drain = LoadRun.drain

    def kill_too(run):
        run._workers[0]._process.kill()
        drain(run)

    monkeypatch.setattr(LoadRun, "drain", kill_too)
    kept, raised = measure(LONG, enough(20))
    assert isinstance(raised, GeneratorError)
    assert "the run is void" in str(raised)
    assert kept == []


def test_what_judging_needs_is_imported_before_the_load(measure, monkeypatch):
    """Not in the midst of it, on the cores that send it; and not where nothing is judged on the way."""
    steps, start = [], LoadRun.start
    monkeypatch.setattr(measuring, "import_now", lambda: steps.append("imported"))
    monkeypatch.setattr(LoadRun, "start", lambda run: (steps.append("started"), start(run)))
    measure(LONG, enough(20))
    assert steps == ["imported", "started"]
    measure(LoadPlan(users=1, requests=2), None)
    assert steps == ["imported", "started", "started"]

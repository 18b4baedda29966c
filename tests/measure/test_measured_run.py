"""One run with the server watched; kept also when it is interrupted, and not when it is void."""

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
from pytest_llmserve.measure.probes import Watched
from pytest_llmserve.measure.run import Stopped, measured_run
from pytest_llmserve.measure.watch import MemoryWatch, Watch
from pytest_llmserve.serve.ready import wait_ready


@pytest.fixture
def measure(mock_server, tmp_path):
    """``measure(plan, **more)`` -> (what was kept, what was returned or raised)."""
    server = mock_server("--ttft-ms", 3, "--tokens", 3)
    endpoint = wait_ready(target_from_url(server.url), limit_ns=30 * NS_PER_S)
    watch = Watch(Watched(pid=server.pid, why="told"))
    watch.start()

    def run(plan, **more):
        kept = []
        try:
            return kept, measured_run(
                endpoint.target, plan, ["Say hi."], tmp_path / "run", watch, kept.append, **more
            )
        except (Stopped, KeyboardInterrupt, GeneratorError) as error:
            return kept, error

    yield run
    watch.stop()
    endpoint.close()


def test_a_result_comes_with_the_servers_side(measure):
    """Samples of the run's own time; kept once."""
    kept, result = measure(LoadPlan(users=2, requests=20))
    assert kept == [result]
    assert len(result.ok) == 20
    assert result.resources.peak("rss_mb") > 5
    assert result.memory is None


def test_all_figures_are_read_right_before_a_load_and_right_after_it(measure, monkeypatch):
    """However rarely the server's memory is read meanwhile; after it also before memory has settled."""
    read_ns = []

    def noted(watch):
        read_ns.append(time.monotonic_ns())
        return sample_now(watch)

    sample_now = Watch.sample_now
    monkeypatch.setattr(Watch, "sample_now", noted)
    for settle_ns, after in ((None, 1), (100_000_000, 2)):
        read_ns.clear()
        _, result = measure(LoadPlan(users=1, requests=5), settle_ns=settle_ns)
        assert [at_ns > result.everything[-1].end_ns for at_ns in read_ns] == [False] + [True] * after
        assert read_ns[0] < result.everything[0].sent_ns


def test_memory_is_judged_only_when_asked_for(measure):
    """Readings before the run, and after it has settled."""
    _, result = measure(LoadPlan(users=1, requests=5), settle_ns=100_000_000)
    assert result.memory.missing is None
    assert result.memory.retained_bytes is not None


def test_the_baseline_of_a_run_with_warm_up_is_read_after_it(measure):
    """What warming up takes is no leak; and the run is not held up."""
    _, result = measure(
        LoadPlan(users=1, duration_ns=NS_PER_S, warm_up_ns=NS_PER_S // 4), settle_ns=100_000_000
    )
    assert len(result.memory.before) >= 6
    assert result.warm_up


def test_a_baseline_that_takes_long_holds_up_neither_progress_nor_a_stop(measure, monkeypatch):
    """As with a driver that hangs; what it read counts all the same once it is there."""
    plan = LoadPlan(users=1, duration_ns=NS_PER_S, warm_up_ns=NS_PER_S // 10)
    begun, go_on, stop = threading.Event(), threading.Event(), threading.Event()
    take = MemoryWatch.take_baseline

    def slow(self):
        begun.set()
        assert go_on.wait(20)
        take(self)

    monkeypatch.setattr(MemoryWatch, "take_baseline", slow)
    told = []
    threading.Timer(1.3, go_on.set).start()  # the load is over then
    more = {"settle_ns": 100_000_000, "stop": stop}
    _, result = measure(plan, progress=lambda now: told.append(begun.is_set()), **more)
    assert any(told)
    assert len(result.memory.before) >= 6
    go_on.clear()
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    kept, error = measure(plan, **more)
    go_on.set()
    assert time.monotonic() - began < 5
    assert (len(kept), type(error), kept[0].memory) == (1, Stopped, None)


def test_a_plan_without_streaming_asks_for_whole_answers(measure):
    """Even where the server can stream."""
    _, result = measure(LoadPlan(users=1, requests=3, stream=False))
    assert {len(r.token_ns) for r in result.ok} <= {0, 1}


def test_a_stop_from_another_thread_keeps_what_was_measured(measure):
    """Soon, and with the reason."""
    stop = threading.Event()
    timer = threading.Timer(0.8, stop.set)
    timer.start()
    began = time.monotonic()
    kept, raised = measure(LoadPlan(users=1, duration_ns=120 * NS_PER_S), stop=stop)
    timer.join()
    assert isinstance(raised, Stopped)
    assert time.monotonic() - began < 20
    assert kept[0].ok
    assert kept[0].generator.ended == "interrupted"


def test_an_interrupt_keeps_what_was_measured(measure):
    """And goes on to pytest."""
    timer = threading.Timer(0.8, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    kept, raised = measure(LoadPlan(users=1, duration_ns=120 * NS_PER_S))
    timer.join()
    assert isinstance(raised, KeyboardInterrupt)
    assert len(kept) == 1
    assert kept[0].generator.ended == "interrupted"


@pytest.fixture
def never_settles(monkeypatch):
    """Memory that is still falling; ``never_settles.wait()`` until it is being read after the load."""
    settling = threading.Event()

    def change(memory, settle_ns, sleep):
        settling.set()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            sleep(0.05)
        raise AssertionError("nobody stopped it")

    monkeypatch.setattr(MemoryWatch, "change", change)
    return settling


def test_an_interrupt_while_memory_settles_keeps_the_finished_run(measure, never_settles):
    """Hours of load are not lost for five seconds of waiting; the memory alone is not known."""

    def interrupt():
        assert never_settles.wait(20)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    kept, raised = measure(LoadPlan(users=1, requests=5), settle_ns=60 * NS_PER_S)
    thread.join()
    assert isinstance(raised, KeyboardInterrupt)
    assert [(len(r.ok), r.memory, r.generator.ended) for r in kept] == [(5, None, "complete")]


def test_a_stop_while_memory_settles_is_soon_heard_and_keeps_the_finished_run(measure, never_settles):
    """A cancelled `arun` does not wait until `settle` is over."""
    stop = threading.Event()

    def end():
        assert never_settles.wait(20)
        stop.set()

    thread = threading.Thread(target=end)
    thread.start()
    kept, raised = measure(LoadPlan(users=1, requests=5), settle_ns=60 * NS_PER_S, stop=stop)
    thread.join()
    assert isinstance(raised, Stopped)
    assert [(len(r.ok), r.memory, r.generator.ended) for r in kept] == [(5, None, "complete")]


def test_a_run_whose_worker_dies_is_void(measure, monkeypatch, real_workers):
    """Nothing is kept: a smaller run would pass for a whole one."""
    monkeypatch.setenv("PYTHONHOME", "/nonexistent")
    kept, raised = measure(LoadPlan(users=1, requests=5))
    assert isinstance(raised, GeneratorError)
    assert "the run is void" in str(raised)
    assert kept == []


def test_a_worker_that_hangs_does_not_swallow_the_interrupt(measure, monkeypatch):
    """What was measured is lost then; the session must still end."""

    def hang(run):
        raise GeneratorError("a load worker did not answer")

    monkeypatch.setattr(LoadRun, "stop", hang)
    stop = threading.Event()
    stop.set()
    kept, raised = measure(LoadPlan(users=1, duration_ns=120 * NS_PER_S), stop=stop)
    assert isinstance(raised, Stopped)
    assert kept == []

"""Watching a server's process, and what is said when that cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from itertools import pairwise

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.units import NS_PER_S
from pytest_llmserve.measure.probes import Watched
from pytest_llmserve.measure.watch import Watch
from pytest_llmserve.observe.cores import cores_of
from pytest_llmserve.observe.gpu import GpuDevices
from pytest_llmserve.observe.process_tree import ProcessTree


@pytest.fixture
def sleeper():
    with second_sleeper() as process:
        yield process


@contextmanager
def second_sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def test_a_process_is_sampled(sleeper):
    """From start to stop; a sample can be asked for."""
    watch = Watch(Watched(pid=sleeper.pid, why="told"))
    watch.start()
    assert watch.sample_now() is not None
    watch.stop()
    assert watch.window().peak("rss_mb") > 1
    assert watch.window().missing is None


def test_the_last_sample_has_cpu_where_that_is_judged(sleeper):
    """However soon it comes after the one before."""
    watch = Watch(Watched(pid=sleeper.pid, why="told"))
    watch.sample_now()
    watch.last_sample(cpu_judged=False)
    assert watch.window().values("cpu_percent") == []
    watch.last_sample(cpu_judged=True)
    watch.stop()
    assert len(watch.window().values("cpu_percent")) == 1


def test_without_a_pid_the_reason_and_the_way_out_are_told():
    """Nothing is sampled, nothing raised."""
    watch = Watch(Watched(pid=None, why="the server is on another machine"))
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
    assert Watch(Watched(pid=None, why="give --llm-server-pid")).window().missing == "give --llm-server-pid"


def test_a_process_that_has_ended_is_told(sleeper):
    """At the start: no samples, and why."""
    sleeper.kill()
    sleeper.wait(10)
    watch = Watch(Watched(pid=sleeper.pid, why="told"))
    watch.start()
    watch.stop()
    assert str(sleeper.pid) in watch.window().missing
    assert watch.memory().change(0).retained_bytes is None


def test_memory_before_and_after_is_read(sleeper):
    """A sleeping process keeps nothing."""
    watch = Watch(Watched(pid=sleeper.pid, why="told"))
    memory = watch.memory()
    memory.take_baseline()
    change = memory.change(100_000_000)
    assert change.missing is None
    assert abs(change.retained_bytes) < 5_000_000
    assert min(len(change.before), len(change.after)) >= 6


def test_memory_without_a_baseline_says_so():
    """A run that ended before its warm-up did."""
    change = Watch(Watched(pid=os.getpid(), why="told")).memory().change(0)
    assert change.missing == "the run ended before its memory baseline was read"
    assert change.retained_bytes is None


def test_a_process_that_ends_after_the_baseline_is_told(sleeper):
    """Not a gain of memory."""
    memory = Watch(Watched(pid=sleeper.pid, why="told")).memory()
    memory.take_baseline()
    sleeper.kill()
    sleeper.wait(10)
    change = memory.change(100_000_000)
    assert change.retained_bytes is None
    assert change.missing is not None


def test_a_server_that_was_restarted_is_watched_on_as_another_process(sleeper):
    """Samples of before are kept; what it holds now is that of the new process."""
    watch = Watch(Watched(pid=sleeper.pid, why="told"))
    watch.start()
    watch.pace(7200 * NS_PER_S)
    watch.sample_now()
    with second_sleeper() as other:
        sleeper.kill()
        sleeper.wait(10)
        assert watch.memory().change(0).missing is not None
        watch.renew(Watched(pid=other.pid, why="told"))
        before = [sample.at_ns for sample in watch.window().samples]
        watch.sample_now()
        memory = watch.memory()
        memory.take_baseline()
        change = memory.change(100_000_000)
        watch.stop()
    window = watch.window()
    (renewed_ns,) = window.renewed_ns
    assert (change.missing, window.missing) == (None, None)
    assert [sample.at_ns for sample in window.samples][: len(before)] == before == sorted(before)
    assert before[0] < renewed_ns < window.samples[-1].at_ns
    assert watch.window(renewed_ns + 1).renewed_ns == ()
    threads = threading.active_count()
    watch.renew(Watched(pid=os.getpid(), why="told"))
    assert (threading.active_count(), watch.window()) == (threads, window), "the test was over"


def test_a_process_lost_at_the_very_end_is_told(sleeper):
    """After the last reading of the sampler: the sample asked for finds out, and the window says so."""
    watch = Watch(Watched(pid=sleeper.pid, why="told"))
    sleeper.kill()
    sleeper.wait(10)
    sample = watch.sample_now()
    assert sample is None or sample.processes is None  # others may still tell of it
    watch.stop()
    assert str(sleeper.pid) in watch.window().missing


def test_memory_as_last_read_is_told_as_long_as_it_is_known(sleeper):
    """For a line of progress: not before the first sample, and nothing stale once the process is gone."""
    watch = Watch(Watched(pid=sleeper.pid, why="told"))
    assert watch.now()["server_rss_bytes"] is None
    watch.sample_now()
    assert watch.now()["server_rss_bytes"] == watch.window().samples[-1].rss_bytes > 1_000_000
    sleeper.kill()
    sleeper.wait(10)
    watch.start()
    watch.stop()
    assert watch.now()["server_rss_bytes"] is None
    assert Watch(Watched(pid=None, why="elsewhere")).now()["server_rss_bytes"] is None


class Page:
    """Tells a queue of five, and is lost with the second reading."""

    source, missing = "metrics", None

    def __init__(self):
        self.left = 1

    def read(self, full):
        self.left -= 1
        if self.left < 0:
            raise ProbeLost("the page is gone")
        return {"waiting": 5.0}

    def close(self):
        pass


def test_the_queue_as_told_last_is_known_as_long_as_somebody_tells_it(sleeper, monkeypatch):
    """For a line of progress, like memory."""
    monkeypatch.setattr("pytest_llmserve.measure.probes.PROBES", (lambda watched, tree: Page(),))
    watch = Watch(Watched(pid=sleeper.pid, why="told"))
    watch.sample_now()
    assert watch.now()["server_waiting"] == 5.0
    watch.sample_now()
    assert watch.now()["server_waiting"] is None
    assert watch.now()["server_rss_bytes"] > 1_000_000
    assert (watch.window().why("queue"), watch.window().cores) == ("the page is gone", cores_of(sleeper.pid))
    watch.stop()


GPU_MB = 700


def until(condition):
    """Wait for what a thread does; ten seconds at most."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def gpu_driver(monkeypatch, sleeper):
    """libnvidia-ml with one GPU, on which the sleeper holds 700 MB; ``gpu_driver.held`` can be changed."""
    import ctypes
    from types import SimpleNamespace

    import pynvml

    def listed(device, count, found):
        size = ctypes.cast(count, ctypes.POINTER(ctypes.c_uint))
        room, size[0] = size[0], 1
        if not found or room < 1:
            return 7
        row = ctypes.cast(found, ctypes.POINTER(pynvml.c_nvmlProcessInfo_t))[0]
        row.pid, row.usedGpuMemory = sleeper.pid, driver.held
        return 0

    def put(kind, number):
        def write(*arguments):
            ctypes.cast(arguments[-1], ctypes.POINTER(kind))[0] = number
            return 0

        return write

    def name(device, text, length):
        ctypes.memmove(text, b"Fake H100\0", 10)
        return 0

    pointer, number = ctypes.c_void_p, ctypes.c_uint
    functions = {
        "nvmlInitWithFlags": ((number,), lambda flags: 0),
        "nvmlShutdown": ((), lambda: 0),
        "nvmlDeviceGetCount_v2": ((pointer,), put(number, 1)),
        "nvmlDeviceGetHandleByIndex_v2": ((number, pointer), put(pointer, 1)),
        "nvmlDeviceGetName": ((pointer, pointer, number), name),
        "nvmlDeviceGetComputeRunningProcesses_v3": ((pointer, pointer, pointer), listed),
        "nvmlDeviceGetGraphicsRunningProcesses_v3": ((pointer, pointer, pointer), lambda *a: 3),
    }
    made = {name: ctypes.CFUNCTYPE(ctypes.c_int, *kinds)(do) for name, (kinds, do) in functions.items()}
    driver = SimpleNamespace(held=GPU_MB * 1_000_000, **made)
    monkeypatch.setattr(pynvml, "nvmlLib", driver)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    return driver


def test_gpu_memory_is_sampled_and_its_change_told(sleeper, gpu_driver):
    """Before and after a run, beside the memory of the host."""
    watch = Watch(Watched(pid=sleeper.pid, why="told"), gpu_judged=True)
    watch.start()
    memory = watch.memory()
    memory.take_baseline()
    gpu_driver.held += 50_000_000
    change = memory.change(100_000_000)
    until(lambda: watch.window().peak("gpu_mb") == GPU_MB + 50)
    watch.stop()
    window = watch.window()
    assert window.gpu_names == {0: "GPU 0 (Fake H100)"}
    assert (window.gpu, window.gpu_missing) == ("GPU memory of the server's processes", None)
    assert change.gpu.retained_bytes == 50_000_000
    assert (change.gpu.measure, change.gpu.missing) == ("GPU memory of the server's processes", None)


def test_gpu_memory_that_is_not_there_is_told(sleeper, gpu_driver, monkeypatch):
    """In the window, and in the change; the host's memory is read all the same."""
    import pynvml

    del gpu_driver.nvmlDeviceGetCount_v2
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    watch = Watch(Watched(pid=sleeper.pid, why="told"), gpu_judged=True)
    memory = watch.memory()
    memory.take_baseline()
    change = memory.change(100_000_000)
    why = "GPU figures are not available, because the driver says: Function Not Found"
    assert (watch.window().gpu, watch.window().gpu_missing) == (None, why)
    assert (change.missing, change.gpu.missing, change.gpu.retained_bytes) == (None, why, None)
    watch.stop()


def test_gpu_memory_is_waited_for_only_where_it_is_judged(sleeper, gpu_driver):
    """It is sampled all the same."""
    watch = Watch(Watched(pid=sleeper.pid, why="told"))
    memory = watch.memory()
    memory.take_baseline()
    until(lambda: watch.sample_now().gpu_bytes == GPU_MB * 1_000_000)
    assert memory.change(0).gpu is None
    watch.stop()


def test_a_run_that_begins_is_read_more_often(sleeper):
    """12 readings that hold USS within a second or two; the next would be due much later."""
    watch = Watch(Watched(pid=sleeper.pid, why="told"), memory_judged=True)
    watch.start()
    watch.hurry()
    deadline = time.monotonic() + 20
    while sum(s.uss_bytes is not None for s in watch.window().samples) < 12:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stamps = [s.at_ns for s in watch.window().samples]
    watch.stop()
    gaps = sorted(after - before for before, after in pairwise(stamps))
    assert gaps[len(gaps) // 2] < 150_000_000


def test_the_gpu_is_let_go_also_where_a_reading_hangs(sleeper, monkeypatch):
    """Else the driver's library stays open for the rest of the session."""
    closed, release = [], threading.Event()
    monkeypatch.setattr(GpuDevices, "close", lambda self: closed.append(self))
    monkeypatch.setattr(ProcessTree, "read", lambda self, full: release.wait(20) and {})
    watch = Watch(Watched(pid=sleeper.pid, why="told"))
    watch.start()
    with pytest.raises(ProbeLost, match="did not return"):
        watch._sampler.stop(0.05)
    release.set()
    assert len(closed) == 1

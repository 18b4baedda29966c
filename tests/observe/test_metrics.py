"""Reading the server's metrics again and again: what is told, and when it is said that they are missing."""

from __future__ import annotations

import sys
import threading

import pytest

from pytest_llmserve.domain.samples import GPU, HOST, METRICS
from pytest_llmserve.observe.metrics import PATIENCE, Look, MetricsPages, ToldBeside, is_installed, look_at
from pytest_llmserve.observe.metrics_page import PageFault, address_of
from pytest_llmserve.observe.probe import Silent

SERVER, EXPORTER, NODE = (f"http://127.0.0.1:{port}/metrics" for port in (8000, 9400, 9100))
TGI = b"tgi_queue_size 7\ntgi_batch_current_size 4\n"
DCGM = b'DCGM_FI_DEV_GPU_UTIL{gpu="0",modelName="H200"} 50\n'


class World:
    """Answers by URL; a text is a fault."""

    def __init__(self, **pages):
        self.pages = {SERVER: TGI, EXPORTER: DCGM, NODE: node(100, 200)}

    def get(self, address, limit_s):
        page = self.pages[address.url]
        if isinstance(page, str):
            raise PageFault(f"{address.url} {page}")
        return page


def node(idle, busy):
    return (
        f'node_cpu_seconds_total{{mode="idle"}} {idle}\nnode_cpu_seconds_total{{mode="user"}} {busy}\n'
        "node_memory_MemAvailable_bytes 5e9\n"
    ).encode()


def pages(world, *urls, beside=()):
    return MetricsPages([address_of(url) for url in urls], beside, world.get)


def test_all_pages_make_one_reading():
    """The CPU of the machine since the reading before."""
    world = World()
    probe = pages(world, SERVER, EXPORTER, NODE)
    first = probe.read(True)
    assert (first["running"], first["waiting"], first["gpus"][0].percent) == (4, 7, 50)
    assert first["host_available_bytes"] == 5_000_000_000
    assert "host_cpu_percent" not in first
    world.pages[NODE] = node(101, 203)
    assert probe.read(True)["host_cpu_percent"] == 75
    assert probe.gpu_names == {0: "H200"}
    assert [probe.why(source) for source in (METRICS, GPU, HOST)] == [None, None, None]


def test_pages_are_asked_for_side_by_side():
    """However many hang, a reading takes no longer than one of them, and is not given up as hanging."""
    world, together = World(), threading.Barrier(3)

    def get(address, limit_s):
        together.wait(10)
        return world.get(address, limit_s)

    probe = MetricsPages([address_of(url) for url in (SERVER, EXPORTER, NODE)], (), get)
    assert probe.read(True)["waiting"] == 7


def test_what_is_no_fault_of_a_page_is_raised():
    """The probe's own mistake never looks like a server that told nothing."""

    def get(address, limit_s):
        raise ZeroDivisionError("by 0")

    with pytest.raises(ZeroDivisionError, match="by 0"):
        MetricsPages([address_of(SERVER)], (), get).read(True)


def test_what_a_probe_on_this_machine_tells_is_not_taken_from_a_page():
    """A page's is, where that probe tells nothing."""
    world = World()
    here = Silent(GPU, None)
    probe = pages(world, SERVER, EXPORTER, beside=[here])
    assert "gpus" not in probe.read(True)
    here.missing = "GPU figures are not available, because no driver"
    assert "gpus" in probe.read(True)


def test_a_fault_is_a_gap_then_a_reason_then_over():
    """A busy server misses a reading; one that misses four is said to, until it answers again."""
    world = World()
    probe = pages(world, SERVER)
    probe.read(True)
    world.pages[SERVER] = "did not answer within 3 s"
    for _ in range(PATIENCE):
        assert probe.read(True) == {}
        assert probe.missing is None
    assert probe.faults == {METRICS: f"{SERVER} did not answer within 3 s"}
    assert probe.read(True) == {}
    assert probe.missing == (
        f"the server's metrics are no longer available, because {SERVER} did not answer within 3 s,"
        " 4 times in a row"
    )
    world.pages[SERVER] = TGI
    assert probe.read(True)["waiting"] == 7
    assert probe.missing is None


@pytest.mark.parametrize(
    ("page", "because"),
    [
        ("answered 404", "answered 404"),
        (b"python_info 1\n", "names none of the figures known, such as vllm:num_requests_running"),
        (b"tgi_queue_size x\n", "is not in Prometheus' text form (could not convert string to float: 'x')"),
    ],
)
def test_a_page_that_never_told_anything_is_missing_at_once(page, because):
    """With what it did instead."""
    world = World()
    world.pages[SERVER] = page
    probe = pages(world, SERVER)
    assert probe.read(True) == {}
    assert probe.missing == (
        f"the server's metrics are not available, because {SERVER} {because}; give --llm-metrics-url=URL"
    )


def test_a_sum_of_servers_without_one_of_them_is_none():
    """It would look like a small queue. A page of something else does not matter for it."""
    world = World()
    second = "http://127.0.0.1:8001/metrics"
    world.pages[second] = TGI
    probe = pages(world, SERVER, second, EXPORTER)
    assert probe.read(True)["waiting"] == 14
    world.pages[EXPORTER] = "answered 500"
    assert probe.read(True)["waiting"] == 14
    world.pages[second] = "answered 500"
    assert "waiting" not in probe.read(True)


def test_each_source_has_its_own_reason():
    """An exporter that is gone takes nothing from the server's figures; what is on no page has no reason."""
    world = World()
    probe = pages(world, SERVER, EXPORTER)
    gpu, host = ToldBeside(GPU, probe), ToldBeside(HOST, probe)
    assert (gpu.missing, host.missing) == ("", "")
    probe.read(True)
    assert (gpu.missing, host.missing, gpu.gpu_names) == (None, "", {0: "H200"})
    world.pages[EXPORTER] = "answered 500"
    for _ in range(PATIENCE + 1):
        probe.read(True)
    assert probe.missing is None
    assert gpu.missing == (
        f"GPU figures are no longer available, because {EXPORTER} answered 500, 4 times in a row"
    )
    assert gpu.read(True) == {}


def test_a_page_is_looked_at_without_the_library(monkeypatch):
    """When the server is opened: whether it names a figure that is known, else why not."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    world = World()
    assert look_at(address_of(SERVER), world.get) == Look(True)
    world.pages[SERVER] = b"vllm:num_requests_waiting_by_reason{} 1\n"
    because = f"{SERVER} names none of the figures known, such as vllm:num_requests_running"
    assert look_at(address_of(SERVER), world.get) == Look(False, because)
    world.pages[SERVER] = "answered 404"
    assert look_at(address_of(SERVER), world.get) == Look(False, f"{SERVER} answered 404")


def test_the_library_is_found_without_importing_it():
    """It takes 90 ms."""
    assert is_installed() is True

"""GPU memory through pynvml, over a driver's library made by hand: C functions behind C pointers."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.observe.gpu_memory import GpuMemory, GpuReader

MB = 1_000_000
NOT_TOLD = 2**64 - 1
OK, NOT_SUPPORTED, TOO_SMALL, LOST, NO_DRIVER = 0, 3, 7, 15, 9


class Process(ctypes.Structure):
    """nvmlProcessInfo_t of nvml.h."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("usedGpuMemory", ctypes.c_ulonglong),
        ("gpuInstanceId", ctypes.c_uint),
        ("computeInstanceId", ctypes.c_uint),
    )


class Memory(ctypes.Structure):
    """nvmlMemory_t of nvml.h."""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def at(kind: type, address: int):
    """What lies at an address, as C sees it."""
    return ctypes.cast(address, ctypes.POINTER(kind))


class Driver:
    """libnvidia-ml: each attribute is a C function. Devices are numbered from 1, as a handle is never null.

    Attributes:
        compute, graphics: for each device, what its processes hold: pid -> bytes.
        used: bytes used on each device.
        init, listing: what these functions return.
    """

    def __init__(self, devices: int = 1) -> None:
        self.compute: list[dict[int, int]] = [{} for _ in range(devices)]
        self.graphics: list[dict[int, int]] = [{} for _ in range(devices)]
        self.used = [500 * MB] * devices
        self.init, self.listing, self.drawing, self.open = OK, OK, OK, 0
        pointer, number = ctypes.c_void_p, ctypes.c_uint
        for name, kinds, function in (
            ("nvmlInitWithFlags", (number,), self._init),
            ("nvmlShutdown", (), self._shutdown),
            ("nvmlDeviceGetCount_v2", (pointer,), self._count),
            ("nvmlDeviceGetHandleByIndex_v2", (number, pointer), self._handle),
            ("nvmlDeviceGetName", (pointer, pointer, number), self._name),
            ("nvmlDeviceGetMemoryInfo", (pointer, pointer), self._memory),
            (
                "nvmlDeviceGetComputeRunningProcesses_v3",
                (pointer, pointer, pointer),
                lambda *a: self._list(self.compute, self.listing, *a),
            ),
            (
                "nvmlDeviceGetGraphicsRunningProcesses_v3",
                (pointer, pointer, pointer),
                lambda *a: self._list(self.graphics, self.drawing, *a),
            ),
        ):
            setattr(self, name, ctypes.CFUNCTYPE(ctypes.c_int, *kinds)(function))

    def _init(self, flags: int) -> int:
        self.open += self.init == OK
        return self.init

    def _shutdown(self) -> int:
        self.open -= 1
        return OK

    def _count(self, count: int) -> int:
        at(ctypes.c_uint, count)[0] = len(self.used)
        return OK

    def _handle(self, index: int, device: int) -> int:
        at(ctypes.c_void_p, device)[0] = index + 1
        return OK

    def _name(self, device: int, text: int, length: int) -> int:
        ctypes.memmove(text, b"Fake H%d\0" % (device * 100), len("Fake H100") + 1)
        return OK

    def _memory(self, device: int, memory: int) -> int:
        at(Memory, memory)[0].used = self.used[device - 1]
        return self.listing

    def _list(
        self, held: list[dict[int, int]], status: int, device: int, count: int, found: int | None
    ) -> int:
        processes = held[device - 1]
        size = at(ctypes.c_uint, count)
        room, size[0] = size[0], len(processes)
        if status != OK or not processes:
            return status
        if not found or room < len(processes):
            return TOO_SMALL
        for place, (pid, held_bytes) in enumerate(processes.items()):
            row = at(Process, found)[place]
            row.pid, row.usedGpuMemory = pid, held_bytes
        return OK


@pytest.fixture
def driver(monkeypatch) -> Iterator[Driver]:
    """What pynvml takes for libnvidia-ml.so."""
    import pynvml

    made = Driver(devices=2)
    monkeypatch.setattr(pynvml, "nvmlLib", made)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    return made


def gpu_of(*pids: int) -> GpuMemory:
    return GpuMemory(lambda: frozenset(pids))


def test_the_memory_of_the_servers_processes_is_summed_over_all_devices(driver):
    """Those of others do not count; one that computes and draws is counted once."""
    driver.compute = [{10: 100 * MB, 99: 7 * MB}, {11: 30 * MB}]
    driver.graphics = [{10: 100 * MB}, {}]
    gpu = gpu_of(10, 11)
    assert gpu.bytes_now() == 130 * MB
    assert gpu.what == "GPU memory of the server's processes"
    assert gpu.missing is None


def test_a_process_that_lets_its_memory_go_holds_none(driver):
    driver.compute = [{10: 100 * MB}, {}]
    gpu = gpu_of(10)
    gpu.bytes_now()
    driver.compute = [{}, {}]
    assert gpu.bytes_now() == 0


@pytest.mark.parametrize(
    "listed", [{}, {777: 100 * MB}, {10: NOT_TOLD}], ids=["none", "other pids", "not told"]
)
def test_where_a_process_is_not_told_the_devices_are_read_and_named(listed, driver):
    """In a container the driver's pids are the host's."""
    driver.compute = [listed, {}]
    driver.used = [500 * MB, 20 * MB]
    gpu = gpu_of(10)
    gpu.settle()
    assert gpu.bytes_now() == 520 * MB
    assert gpu.what == "all memory used on GPU 0 (Fake H100) and GPU 1 (Fake H200)"


def test_what_is_read_does_not_change_once_it_is_settled(driver):
    """A sum over processes after one over devices would be a fall that never was."""
    gpu = gpu_of(10)
    gpu.settle()
    driver.compute = [{10: 100 * MB}, {}]
    assert gpu.bytes_now() == 1000 * MB


def test_a_gpu_that_does_not_draw_is_read_all_the_same(driver):
    driver.drawing = NOT_SUPPORTED
    driver.compute = [{10: 100 * MB}, {}]
    assert gpu_of(10).bytes_now() == 100 * MB


def test_a_driver_that_fails_meanwhile_is_told(driver):
    driver.compute = [{10: 100 * MB}, {}]
    gpu = gpu_of(10)
    assert gpu.bytes_now() == 100 * MB
    driver.listing = LOST
    assert gpu.bytes_now() is None
    assert gpu.missing == "GPU memory is not available, because the driver says: GPU is lost"
    with pytest.raises(
        ProbeLost, match=r"^GPU memory is not available, because the driver says: GPU is lost$"
    ):
        GpuReader(gpu)()


def test_a_reader_gives_bytes_and_says_what_of(driver):
    driver.compute = [{10: 100 * MB}, {}]
    reader = GpuReader(gpu_of(10))
    assert (reader(), reader.measure) == (100 * MB, "GPU memory of the server's processes")


def test_a_machine_without_a_gpu_is_told(driver):
    driver.used = []
    assert gpu_of(10).missing == "GPU memory is not available, because this machine has no NVIDIA GPU"


def test_a_driver_that_is_not_loaded_is_told(driver):
    driver.init = NO_DRIVER
    gpu = gpu_of(10)
    assert gpu.missing == (
        "GPU memory is not available, because the NVIDIA driver does not answer: Driver Not Loaded"
    )
    assert gpu.bytes_now() is None
    gpu.close()


def test_the_library_is_let_go_once(driver):
    gpu = gpu_of(10)
    assert driver.open == 1
    gpu.close()
    gpu.close()
    assert driver.open == 0
    assert (gpu.bytes_now(), gpu.missing) == (None, "GPU memory is no longer read")


WITHOUT = """
import sys
{before}
from pytest_llmserve.observe.gpu_memory import GpuMemory
print("pynvml" in sys.modules and sys.modules["pynvml"] is not None)
print(GpuMemory(lambda: frozenset()).missing)
"""


@pytest.mark.parametrize(
    ("before", "missing"),
    [
        (
            "sys.modules['pynvml'] = None",
            (
                "GPU memory is not available, because nvidia-ml-py is not installed:"
                " pip install 'pytest-llmserve[gpu]'"
            ),
        ),
        (
            "import ctypes; ctypes.CDLL = lambda name: (_ for _ in ()).throw(OSError(name))",
            (
                "GPU memory is not available, because the NVIDIA driver does not answer:"
                " NVML Shared Library Not Found"
            ),
        ),
    ],
    ids=["no package", "no driver"],
)
def test_what_is_not_there_is_told_and_nothing_is_imported_before(before, missing):
    code = WITHOUT.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["False", missing], done.stderr

"""GPUs through pynvml, over a driver's library made by hand: C functions behind C pointers."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import GpuSample
from pytest_llmserve.observe.gpu import GpuDevices, GpuProbe, GpuReader

MB = 1_000_000
NOT_TOLD = 2**64 - 1
OK, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, TOO_SMALL, NO_DRIVER, LOST = 0, 3, 4, 6, 7, 9, 15
pointer, number = ctypes.c_void_p, ctypes.c_uint


@dataclass
class Card:
    """A GPU or MIG instance: what the driver tells of it.

    Attributes:
        compute, graphics: pid -> bytes.
        silent: C function -> what it returns instead of telling.
    """

    model: bytes = b"Fake H100"
    uuid: bytes = b"GPU-0"
    used: int = 500 * MB
    total: int = 2000 * MB
    compute: dict[int, int] = field(default_factory=dict)
    graphics: dict[int, int] = field(default_factory=dict)
    parts: list[Card] = field(default_factory=list)
    silent: dict[str, int] = field(default_factory=dict)


class Process(ctypes.Structure):
    """nvmlProcessInfo_t of nvml.h."""

    _fields_ = (("pid", number), ("used", ctypes.c_ulonglong), ("gpu", number), ("compute", number))


def put(address: int, *values: int, kind: type = number) -> int:
    """Write one after the other to where C wants them."""
    place = ctypes.cast(address, ctypes.POINTER(kind))
    for index, value in enumerate(values):
        place[index] = value
    return OK


class Driver:
    """libnvidia-ml: each attribute is a C function. A handle is a card's number from 1, as it is never null.

    Attributes:
        cards: MIG instances among them, which are no GPUs.
        init: what that function returns.
        hangs: set = no function of a device returns.
    """

    def __init__(self, *cards: Card) -> None:
        self.gpus = cards
        self.cards = [*cards, *(part for card in cards for part in card.parts)]
        self.init, self.open = OK, 0
        self.hangs, self.released = threading.Event(), threading.Event()
        self._set("nvmlInitWithFlags", (number,), self._init)
        self._set("nvmlShutdown", (), self._shutdown)
        self._set("nvmlDeviceGetCount_v2", (pointer,), lambda out: put(out, len(self.gpus)))
        self._of_card("nvmlDeviceGetName", (pointer, number), lambda c, out, size: self._text(out, c.model))
        self._of_card("nvmlDeviceGetUUID", (pointer, number), lambda c, out, size: self._text(out, c.uuid))
        self._set("nvmlDeviceGetHandleByIndex_v2", (number, pointer), self._handle)
        self._of_card("nvmlDeviceGetMemoryInfo_v2", (pointer,), self._memory)
        self._of_card("nvmlDeviceGetUtilizationRates", (pointer,), lambda c, out: put(out, 68, 40))
        self._of_card("nvmlDeviceGetTemperature", (number, pointer), lambda c, sensor, out: put(out, 61))
        self._of_card("nvmlDeviceGetPowerUsage", (pointer,), lambda c, out: put(out, 250_500))
        self._of_card(
            "nvmlDeviceGetCurrentClocksEventReasons",
            (pointer,),
            lambda c, out: put(out, 0x21, kind=ctypes.c_ulonglong),
        )
        self._of_card("nvmlDeviceGetMigMode", (pointer, pointer), self._mig)
        self._of_card("nvmlDeviceGetMaxMigDeviceCount", (pointer,), lambda c, out: put(out, 7))
        self._of_card("nvmlDeviceGetMigDeviceHandleByIndex", (number, pointer), self._part)
        lists = (pointer, pointer)
        self._of_card(
            "nvmlDeviceGetComputeRunningProcesses_v3", lists, lambda c, *out: self._list(c.compute, *out)
        )
        self._of_card(
            "nvmlDeviceGetGraphicsRunningProcesses_v3", lists, lambda c, *out: self._list(c.graphics, *out)
        )

    def _set(self, name, kinds, function) -> None:
        setattr(self, name, ctypes.CFUNCTYPE(ctypes.c_int, *kinds)(function))

    def _of_card(self, name, kinds, function) -> None:
        def call(handle: int, *arguments: int) -> int:
            if self.hangs.is_set():
                self.released.wait(30)
            card = self.cards[handle - 1]
            status = card.silent.get(name, card.silent.get("all", OK))
            return status or function(card, *arguments)

        self._set(name, (pointer, *kinds), call)

    def rename(self, name, older, function=None) -> None:
        """As a driver that knows only the older one; a function of its own gives what that wrote."""
        if function is None:
            setattr(self, older, getattr(self, name))
        else:
            wide = ctypes.c_ulonglong
            self._of_card(older, (pointer,), lambda c, out: put(out, *function(c), kind=wide))
        delattr(self, name)

    def _init(self, flags: int) -> int:
        self.open += self.init == OK
        return self.init

    def _shutdown(self) -> int:
        self.open -= 1
        return OK

    def _handle(self, index: int, out: int) -> int:
        return put(out, index + 1, kind=pointer)

    def _text(self, out: int, text: bytes) -> int:
        ctypes.memmove(out, text + b"\0", len(text) + 1)
        return OK

    def _memory(self, card: Card, out: int) -> int:
        """nvmlMemory_v2_t: version, total, reserved, free, used."""
        return put(out + 8, card.total, 0, card.total - card.used, card.used, kind=ctypes.c_ulonglong)

    def _mig(self, card: Card, current: int, pending: int) -> int:
        put(current, bool(card.parts))
        return put(pending, bool(card.parts))

    def _part(self, card: Card, index: int, out: int) -> int:
        if index >= len(card.parts):
            return NOT_FOUND
        part = next(place for place, found in enumerate(self.cards) if found is card.parts[index])
        return put(out, part + 1, kind=pointer)

    def _list(self, processes: dict[int, int], count: int, found: int | None) -> int:
        size = ctypes.cast(count, ctypes.POINTER(number))
        room, size[0] = size[0], len(processes)
        if not processes:
            return OK
        if not found or room < len(processes):
            return TOO_SMALL
        rows = ctypes.cast(found, ctypes.POINTER(Process))
        for place, (pid, held_bytes) in enumerate(processes.items()):
            rows[place].pid, rows[place].used = pid, held_bytes
        return OK


@pytest.fixture
def drive(monkeypatch):
    """Make a library of some cards what pynvml takes for libnvidia-ml.so."""
    import pynvml

    def install(*cards: Card) -> Driver:
        driver = Driver(*cards)
        monkeypatch.setattr(pynvml, "nvmlLib", driver)
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        return driver

    return install


@pytest.fixture
def two(drive) -> tuple[Card, Card]:
    """Two GPUs, nothing on them yet."""
    cards = Card(), Card(model=b"Fake H200", uuid=b"GPU-1", used=20 * MB)
    drive(*cards)
    return cards


def gpus_of(*pids: int, environ: dict[str, str] | None = None) -> GpuDevices:
    environments = [] if environ is None else [environ]
    return GpuDevices(lambda: frozenset(pids), lambda asked: environments)


NAMES = {0: "GPU 0 (Fake H100)", 1: "GPU 1 (Fake H200)"}


def test_a_reading_tells_all_figures_of_the_gpus_that_the_server_is_on(two):
    """And of no other: another program's GPU is not the server's."""
    two[1].compute = {10: 15 * MB, 99: 5 * MB}
    gpus = gpus_of(10)
    assert gpus.read(True) == {
        "gpus": (
            GpuSample(
                index=1,
                memory_bytes=20 * MB,
                total_bytes=2000 * MB,
                percent=68.0,
                temperature_c=61.0,
                power_w=250.5,
                throttled="thermal",
            ),
        ),
        "gpu_bytes": 15 * MB,
    }
    assert (gpus.names, gpus.what, gpus.absent) == ({1: NAMES[1]}, "GPU memory of the server's processes", {})


def test_the_memory_of_the_servers_processes_is_summed_over_all_devices(two):
    """Those of others do not count; one that computes and draws is counted once; what is let go is gone."""
    two[0].compute, two[1].compute = {10: 100 * MB, 99: 7 * MB}, {11: 30 * MB}
    two[0].graphics = {10: 100 * MB}
    gpus = gpus_of(10, 11)
    assert gpus.read(True)["gpu_bytes"] == 130 * MB
    two[0].compute = two[0].graphics = two[1].compute = {}
    assert gpus.read(True)["gpu_bytes"] == 0
    assert gpus.names == NAMES


@pytest.mark.parametrize(
    "listed", [{}, {777: 100 * MB}, {10: NOT_TOLD}], ids=["none", "other pids", "not told"]
)
def test_where_a_process_is_not_told_the_devices_are_read_and_named(listed, two):
    """In a container the driver's pids are the host's."""
    two[0].compute = two[1].compute = listed
    gpus = gpus_of(10)
    gpus.read(True)
    gpus.settle()
    assert gpus.read(True)["gpu_bytes"] == 520 * MB
    assert gpus.what == "all memory used on GPU 0 (Fake H100) and GPU 1 (Fake H200)"


def test_what_is_read_does_not_change_once_it_is_settled(two):
    """A sum over processes after one over devices would be a fall that never was."""
    gpus = gpus_of(10)
    gpus.read(True)
    gpus.settle()
    two[0].compute = {10: 100 * MB}
    assert gpus.read(True)["gpu_bytes"] == 520 * MB
    gpus.settle()  # of the next run
    assert gpus.read(True)["gpu_bytes"] == 520 * MB


def test_a_server_that_is_not_listed_is_looked_for_where_its_environment_says(two):
    gpus = gpus_of(10, environ={"CUDA_VISIBLE_DEVICES": "GPU-1"})
    assert gpus.read(True)["gpu_bytes"] == 20 * MB
    assert gpus.names == {1: NAMES[1]}
    hidden = gpus_of(10, environ={"CUDA_VISIBLE_DEVICES": "-1"})
    with pytest.raises(
        ProbeLost,
        match=r"^GPU figures are not available, because the server may use none: "
        r"CUDA_VISIBLE_DEVICES of its process names no GPU$",
    ):
        hidden.read(True)


def test_what_a_device_does_not_tell_is_left_out_and_never_zero(two):
    """A GPU that draws nothing, shows no power and no clocks is read all the same."""
    two[0].compute = {10: 100 * MB}
    two[0].silent = {
        "nvmlDeviceGetGraphicsRunningProcesses_v3": NOT_SUPPORTED,
        "nvmlDeviceGetUtilizationRates": NOT_SUPPORTED,
        "nvmlDeviceGetTemperature": NO_PERMISSION,
        "nvmlDeviceGetPowerUsage": NOT_SUPPORTED,
        "nvmlDeviceGetCurrentClocksEventReasons": NOT_SUPPORTED,
    }
    (sample,) = gpus_of(10).read(True)["gpus"]
    assert sample == GpuSample(index=0, memory_bytes=500 * MB, total_bytes=2000 * MB)


def test_a_driver_older_than_the_package_is_asked_by_its_own_names(drive):
    driver = drive(Card(compute={10: 100 * MB}))
    driver.rename("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo", lambda c: (9, 0, 5))
    driver.rename("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
    driver.rename("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2")
    driver.rename("nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2")
    reading = gpus_of(10).read(True)
    (sample,) = reading["gpus"]
    assert (sample.memory_bytes, sample.total_bytes, sample.throttled) == (5, 9, "thermal")
    assert reading["gpu_bytes"] == 100 * MB


@pytest.mark.parametrize("silent", [{"nvmlDeviceGetMemoryInfo_v2": NOT_SUPPORTED}, {}], ids=["error", "zero"])
def test_a_board_that_shares_the_machines_memory_says_so(silent, drive):
    """The memory of its processes is told, that of the device is not: by an error or as 0 of 0 bytes."""
    card = Card(model=b"Fake GB10", total=0, used=0, silent=silent)
    drive(card)
    gpus = gpus_of(10)
    reading = gpus.read(True)
    assert (reading["gpus"][0].memory_percent, reading["gpus"][0].percent) == (None, 68.0)
    assert "gpu_bytes" not in reading
    why = (
        "memory of GPU 0 (Fake GB10) is not available, because the driver does not tell it: "
        "boards whose GPU shares the machine's memory have none of their own; judge memory_mb instead"
    )
    devices = {"gpu_memory_percent": why, "gpu_memory_mb": why}
    assert gpus.absent == devices | {"gpu_mb": why}
    card.compute = {10: 100 * MB}
    assert gpus.read(True)["gpu_bytes"] == 100 * MB
    assert gpus.absent == devices


def test_mig_instances_are_devices_of_their_own(drive):
    """Memory and processes are the instance's; heat is the chip's; use and power are told of neither."""
    parts = [
        Card(uuid=b"MIG-a", used=10 * MB, total=100 * MB),
        Card(uuid=b"MIG-b", used=40 * MB, total=50 * MB, compute={10: 33 * MB}),
    ]
    drive(Card(parts=parts))
    gpus = gpus_of(10)
    assert gpus.read(True) == {
        "gpus": (
            GpuSample(
                index=1,
                memory_bytes=40 * MB,
                total_bytes=50 * MB,
                temperature_c=61.0,
                throttled="thermal",
            ),
        ),
        "gpu_bytes": 33 * MB,
    }
    assert gpus.names == {1: "GPU 0 (Fake H100) MIG 1"}


def test_a_gpu_lost_in_mid_run_is_told_by_name_and_the_others_go_on(two):
    """Its share of the server's memory is missing from then on, so there is no sum; the last one ends it."""
    two[0].compute, two[1].compute = {10: 100 * MB}, {10: 15 * MB}
    gpus = gpus_of(10)
    assert gpus.read(True)["gpu_bytes"] == 115 * MB
    two[0].silent = {"all": LOST}
    reading = gpus.read(True)
    assert ([gpu.index for gpu in reading["gpus"]], "gpu_bytes" in reading) == ([1], False)
    first = "GPU 0 (Fake H100) is no longer read, because the driver says: GPU is lost"
    assert gpus.absent == {"gpu": first}
    two[1].silent = {"all": LOST}
    second = "GPU 1 (Fake H200) is no longer read, because the driver says: GPU is lost"
    with pytest.raises(ProbeLost) as lost:
        gpus.read(True)
    assert str(lost.value) == f"{first}; {second}"


def test_a_gpu_that_the_server_does_not_use_may_be_lost(two):
    two[1].compute = {10: 15 * MB}
    gpus = gpus_of(10)
    gpus.read(True)
    two[0].silent = {"all": LOST}
    assert gpus.read(True)["gpu_bytes"] == 15 * MB
    assert gpus.absent == {}


def test_a_machine_without_a_gpu_or_driver_is_told_and_the_library_let_go(drive):
    driver = drive()
    with pytest.raises(
        ProbeLost, match=r"^GPU figures are not available, .* this machine has no NVIDIA GPU$"
    ):
        gpus_of(10).read(True)
    assert driver.open == 0
    driver.init = NO_DRIVER
    with pytest.raises(ProbeLost) as lost:
        gpus_of(10).read(True)
    assert str(lost.value) == (
        "GPU figures are not available, because the NVIDIA driver does not answer: Driver Not Loaded"
    )
    driver = drive(Card())
    gpus = gpus_of(10)
    gpus.read(True)
    gpus.close()
    gpus.close()
    assert driver.open == 0


def test_a_reader_gives_bytes_and_says_what_of_or_why_not(drive):
    """Settled by its first reading; the reason is that of the GPU that was lost."""
    card = Card(compute={10: 100 * MB})
    driver = drive(card)
    with closing(GpuProbe(lambda: frozenset({10}))) as probe:
        reader = GpuReader(probe)
        reader.settle()
        assert (reader(), reader.measure) == (100 * MB, "GPU memory of the server's processes")
        card.silent = {"all": LOST}
        with pytest.raises(ProbeLost, match=r"^GPU 0 \(Fake H100\) is no longer read, .*: GPU is lost$"):
            reader()
    assert driver.open == 0


def test_a_driver_that_hangs_holds_nobody_up(drive):
    driver = drive(Card())
    driver.hangs.set()
    with closing(GpuProbe(lambda: frozenset({10}))) as probe:
        assert probe.read(True) == {}
        assert probe.read(True) == {}
        driver.released.set()
        assert probe.fresh()["gpu_bytes"] == 500 * MB


WITHOUT = """
import sys
{before}
from pytest_llmserve.observe.gpu import GpuDevices
print("pynvml" in sys.modules and sys.modules["pynvml"] is not None)
try:
    GpuDevices(lambda: frozenset()).read(True)
except Exception as lost:
    print(lost)
"""


@pytest.mark.parametrize(
    ("before", "missing"),
    [
        (
            "sys.modules['pynvml'] = None",
            (
                "GPU figures are not available, because nvidia-ml-py is not installed:"
                " pip install 'pytest-llmserve[gpu]'"
            ),
        ),
        (
            "import ctypes; ctypes.CDLL = lambda name: (_ for _ in ()).throw(OSError(name))",
            (
                "GPU figures are not available, because the NVIDIA driver does not answer:"
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

"""NVIDIA's management library (NVML); the one file that knows pynvml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_llmserve.domain.errors import ProbeLost

INSTALL = "pip install 'pytest-llmserve[gpu]'"
NONE_TOLD = "GPU figures are not available, because "

REASONS = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal",
    0x40: "hardware thermal",
    0x80: "power brake",
    0x200: "board limit",
    0x400: "reliability",
}
"""Bit -> why the driver holds clocks down. nvml.h, nvmlClocksEventReasons and nvmlClocksThrottleReasons."""
_NO_THROTTLING = 0x1 | 0x2 | 0x100
"""Idle, and clocks that were set so for applications or for a display."""
_HARDWARE, _ITS_CAUSES = 0x8, 0x40 | 0x80


def throttled(bits: int) -> str:
    """Why clocks are held down, "thermal, power cap"; "" = they are not."""
    if bits & _ITS_CAUSES:
        bits &= ~_HARDWARE
    bits &= ~_NO_THROTTLING
    known = [word for bit, word in REASONS.items() if bits & bit]
    left = bits & ~sum(REASONS)
    return ", ".join([*known, f"unknown reason {left:#x}"] if left else known)


class DeviceLost(Exception):
    """The driver no longer tells of one device; the text is its own."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A GPU, or one MIG instance of it.

    Attributes:
        name: "GPU 0 (NVIDIA H200)", "GPU 0 (NVIDIA H200) MIG 1".
        model: "NVIDIA H200".
        chip: number of the GPU, in the driver's order.
        uuid: "GPU-..." or "MIG-..."; "" where it is not told.
        handle: of the driver, for its memory and processes.
        whole: the same for what belongs to the whole chip; a MIG instance tells it through its GPU.
        is_part: a MIG instance.
    """

    name: str
    model: str
    chip: int
    uuid: str
    handle: Any
    whole: Any
    is_part: bool


class Nvml:
    """The library, opened.

    Each question gives None where the device does not tell, and raises `DeviceLost` where the driver
    fails. A call has no deadline: ask in a thread that nobody waits for.

    Raises:
        ProbeLost: the package, the driver or a GPU is not there: which, and what to do.
    """

    def __init__(self) -> None:
        try:
            import pynvml
        except ImportError:
            raise ProbeLost(f"{NONE_TOLD}nvidia-ml-py is not installed: {INSTALL}") from None
        self._nvml = pynvml
        errors = pynvml
        self._silent = (
            errors.NVMLError_NotSupported,
            errors.NVMLError_FunctionNotFound,
            errors.NVMLError_NoPermission,
            errors.NVMLError_NoData,
            errors.NVMLError_NotFound,
            errors.NVMLError_InvalidArgument,  # a MIG instance asked what only its GPU tells
            errors.NVMLLibraryMismatchError,  # the driver is older than the package
        )
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise ProbeLost(f"{NONE_TOLD}the NVIDIA driver does not answer: {error}") from None
        try:
            self.devices = tuple(self._find())
        except pynvml.NVMLError as error:
            pynvml.nvmlShutdown()
            raise ProbeLost(f"{NONE_TOLD}the driver says: {error}") from None
        if not self.devices:
            pynvml.nvmlShutdown()
            raise ProbeLost(f"{NONE_TOLD}this machine has no NVIDIA GPU")

    def close(self) -> None:
        """Let the library go."""
        self._nvml.nvmlShutdown()

    def memory(self, device: Device) -> tuple[int, int] | None:
        """Bytes used and in all; None also where a GPU has no memory of its own, but the machine's."""
        version = getattr(self._nvml, "nvmlMemory_v2", None)  # it leaves out what the driver has reserved
        found = self._told("nvmlDeviceGetMemoryInfo", device.handle, version) if version else None
        found = found or self._told("nvmlDeviceGetMemoryInfo", device.handle)
        return None if found is None or not found.total else (int(found.used), int(found.total))

    def percent(self, device: Device) -> float | None:
        """Share of the last sampling time of the driver (up to 1 s) in which anything ran."""
        if device.is_part:
            return None
        found = self._told("nvmlDeviceGetUtilizationRates", device.whole)
        return None if found is None else float(found.gpu)

    def temperature_c(self, device: Device) -> float | None:
        """Of the chip."""
        sensor = self._nvml.NVML_TEMPERATURE_GPU
        found = self._told("nvmlDeviceGetTemperature", device.whole, sensor)
        if found is None:  # the newer one alone, as of CUDA 14
            found = self._told("nvmlDeviceGetTemperatureV", device.whole, sensor)
        return None if found is None else float(found)

    def power_w(self, device: Device) -> float | None:
        """Of the whole board; not of one MIG instance."""
        found = None if device.is_part else self._told("nvmlDeviceGetPowerUsage", device.whole)
        return None if found is None else found / 1000

    def throttled(self, device: Device) -> str | None:
        """Why clocks are held down; "" = they are not."""
        found = self._told("nvmlDeviceGetCurrentClocksEventReasons", device.whole)
        if found is None:  # its name before driver 535
            found = self._told("nvmlDeviceGetCurrentClocksThrottleReasons", device.whole)
        return None if found is None else throttled(found)

    def processes(self, device: Device) -> dict[int, int | None]:
        """Pid -> bytes of those that compute or draw on it; None where their memory is not told."""
        held: dict[int, int | None] = {}
        for question in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
            listed = self._told(question, device.handle)
            if listed is None:  # its name before driver 510
                listed = self._told(question + "_v2", device.handle)
            held |= {row.pid: row.usedGpuMemory for row in listed or ()}
        return held

    def _told(self, question: str, *arguments: Any) -> Any:
        ask = getattr(self._nvml, question, None)
        if ask is None:
            return None
        try:
            return ask(*arguments)
        except self._silent:
            return None
        except self._nvml.NVMLError as error:
            raise DeviceLost(str(error)) from None

    def _find(self) -> Iterator[Device]:
        for chip in range(self._nvml.nvmlDeviceGetCount()):
            try:
                handle = self._nvml.nvmlDeviceGetHandleByIndex(chip)
            except self._nvml.NVMLError_NoPermission:  # given to another container
                continue
            model = str(self._nvml.nvmlDeviceGetName(handle))
            whole = Device(
                name=f"GPU {chip} ({model})",
                model=model,
                chip=chip,
                uuid=self._uuid(handle),
                handle=handle,
                whole=handle,
                is_part=False,
            )
            yield from list(self._parts(whole)) or [whole]

    def _parts(self, whole: Device) -> Iterator[Device]:
        mode = self._told("nvmlDeviceGetMigMode", whole.whole)
        if mode is None or mode[0] != self._nvml.NVML_DEVICE_MIG_ENABLE:
            return
        for place in range(self._told("nvmlDeviceGetMaxMigDeviceCount", whole.whole) or 0):
            handle = self._told("nvmlDeviceGetMigDeviceHandleByIndex", whole.whole, place)
            if handle is not None:
                yield Device(
                    name=f"{whole.name} MIG {place}",
                    model=whole.model,
                    chip=whole.chip,
                    uuid=self._uuid(handle),
                    handle=handle,
                    whole=whole.whole,
                    is_part=True,
                )

    def _uuid(self, handle: Any) -> str:
        return str(self._told("nvmlDeviceGetUUID", handle) or "")

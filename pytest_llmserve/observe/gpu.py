"""GPU memory through NVIDIA's management library; the one file that knows pynvml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import GPU

INSTALL = "pip install 'pytest-llmserve[gpu]'"
OF_PROCESSES = "GPU memory of the server's processes"


class GpuMemory:
    """Reads the GPU memory of a few processes, or of the devices where a process's own is not told.

    In a container, and on Windows, the driver lists processes under other numbers or without their
    memory: then all that is used on the devices is read, and `what` says so. Which of the two is settled
    by the first reading that finds a process on a GPU, or by `settle`; it never changes after that.
    Mutable: that choice alone.

    Args:
        pids: the processes, asked at each reading.
    """

    source = GPU

    def __init__(self, pids: Callable[[], frozenset[int]]) -> None:
        self._pids = pids
        self._nvml: Any = None
        self._devices: list[Any] = []
        self._of_processes: bool | None = None
        self.missing: str | None = self._open()

    @property
    def what(self) -> str:
        """What is read, for sentences and reports."""
        if self._of_processes is not False:
            return OF_PROCESSES
        names = " and ".join(f"GPU {index} ({name})" for index, name in enumerate(self._names()))
        return f"all memory used on {names}"

    def read(self, full: bool) -> dict[str, Any]:  # noqa: ARG002 - both cost the same
        """What a sample has of it.

        Raises:
            ProbeLost: the driver no longer tells; passed on from `pids`.
        """
        value = self.bytes_now()
        if value is None:
            raise ProbeLost(self.missing or "GPU memory is not available")
        return {"gpu_bytes": value}

    def bytes_now(self) -> int | None:
        """Bytes now; None when it is not available, `missing` says why.

        Raises:
            ProbeLost: passed on from `pids`.
        """
        if self.missing is not None:
            return None
        pids = self._pids()
        try:
            own = self._own_bytes(pids)
            if self._of_processes is None and own is not None:
                self._of_processes = True
            if self._of_processes:
                return own or 0
            return sum(int(self._nvml.nvmlDeviceGetMemoryInfo(device).used) for device in self._devices)
        except self._nvml.NVMLError as error:
            self.missing = f"GPU memory is not available, because the driver says: {error}"
            return None

    def settle(self) -> None:
        """From now on read the processes if one was found on a GPU so far, else the devices."""
        self._of_processes = bool(self._of_processes)

    def close(self) -> None:
        """Let the library go; calling it again does nothing."""
        if self._nvml is not None:
            nvml, self._nvml = self._nvml, None
            self.missing = self.missing or "GPU memory is no longer read"
            nvml.nvmlShutdown()

    def _open(self) -> str | None:
        """Load the library and find the devices; why that cannot be, or None."""
        try:
            import pynvml
        except ImportError:
            return f"GPU memory is not available, because nvidia-ml-py is not installed: {INSTALL}"
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            return f"GPU memory is not available, because the NVIDIA driver does not answer: {error}"
        self._nvml = pynvml
        try:
            count = pynvml.nvmlDeviceGetCount()
            self._devices = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except pynvml.NVMLError as error:
            return f"GPU memory is not available, because the driver says: {error}"
        return (
            None if self._devices else "GPU memory is not available, because this machine has no NVIDIA GPU"
        )

    def _own_bytes(self, pids: frozenset[int]) -> int | None:
        """Of these processes on all devices; None when none is listed with its memory."""
        found = None
        for device in self._devices:
            held: dict[int, int | None] = {}
            for listed in (self._nvml.nvmlDeviceGetComputeRunningProcesses, self._graphics):
                held |= {process.pid: process.usedGpuMemory for process in listed(device)}
            for pid, size in held.items():
                if pid in pids and size is not None:
                    found = (found or 0) + int(size)
        return found

    def _graphics(self, device: Any) -> list[Any]:
        try:
            found: list[Any] = self._nvml.nvmlDeviceGetGraphicsRunningProcesses(device)
        except self._nvml.NVMLError_NotSupported:  # data-centre GPUs draw nothing
            return []
        return found

    def _names(self) -> list[str]:
        if self._nvml is None:
            return ["closed"] * len(self._devices)
        return [str(self._nvml.nvmlDeviceGetName(device)) for device in self._devices]


class GpuReader:
    """The same, for those who need a number or a `ProbeLost`."""

    def __init__(self, gpu: GpuMemory) -> None:
        self._gpu = gpu

    @property
    def measure(self) -> str:
        """What is read."""
        return self._gpu.what

    def __call__(self) -> int:
        """Bytes now.

        Raises:
            ProbeLost: GPU memory is not, or no longer, available.
        """
        value = self._gpu.bytes_now()
        if value is None:
            raise ProbeLost(self._gpu.missing or "GPU memory is not available")
        return value

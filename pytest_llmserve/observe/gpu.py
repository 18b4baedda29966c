"""The GPUs that a server uses, and its memory on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import GPU, GpuSample
from pytest_llmserve.domain.units import NS_PER_MS
from pytest_llmserve.observe.aside import Aside
from pytest_llmserve.observe.nvml import NONE_TOLD, Device, DeviceLost, Nvml
from pytest_llmserve.observe.visible import VISIBLE, environments, visible

PERIOD_NS = 200 * NS_PER_MS
SHARE = 0.005
"""Of a core, at most: eight GPUs are some sixty questions to the driver."""
OF_PROCESSES = "GPU memory of the server's processes"


class GpuDevices:
    """Reads GPUs; each reading may hang in the driver, so it is read through `GpuProbe`.

    Devices: those on which the server's processes were found so far; before that those that its
    environment names, else all of the machine.

    GPU memory is that of the server's processes, or of the devices where a process's own is not told: in
    a container, and on Windows, the driver lists processes under other numbers or without their memory.
    Which of the two is settled by the first reading that finds a process on a GPU, or by `settle`; it
    never changes after that. Once a device that counts is lost there is no sum any more: it would be
    smaller, and nothing has become so. Mutable: what was found, settled and lost so far.

    Args:
        pids: the server's processes, asked at each reading.
        look_up: their environments.
    """

    source = GPU

    def __init__(
        self,
        pids: Callable[[], frozenset[int]],
        look_up: Callable[[Iterable[int]], list[Mapping[str, str]]] = environments,
    ) -> None:
        self._pids, self._look_up = pids, look_up
        self._nvml: Nvml | None = None
        self._devices: tuple[Device, ...] = ()
        self._found: frozenset[int] = frozenset()
        self._hint: frozenset[int] = frozenset()
        self._summed: frozenset[int] | None = None
        self._of_processes: bool | None = None
        self._lost: dict[int, str] = {}
        self._shared: frozenset[int] = frozenset()
        self.missing: str | None = None

    @property
    def what(self) -> str:
        """What GPU memory is read, for sentences and reports."""
        if self._of_processes is not False:
            return OF_PROCESSES
        places = sorted(self._used if self._summed is None else self._summed)
        return "all memory used on " + " and ".join(self._devices[place].name for place in places)

    @property
    def names(self) -> dict[int, str]:
        """`GpuSample.index` -> name, of the devices the server uses."""
        return {place: self._devices[place].name for place in sorted(self._used)}

    @property
    def absent(self) -> dict[str, str]:
        """Source or figure -> why it is not, or no longer, told of a device that the server uses."""
        lost = [why for place, why in sorted(self._lost.items()) if place in self._counted]
        if lost:
            return {GPU: "; ".join(lost)}
        shared = " and ".join(self._devices[place].name for place in sorted(self._shared & self._used))
        if not shared:
            return {}
        why = (
            f"memory of {shared} is not available, because the driver does not tell it: "
            "boards whose GPU shares the machine's memory have none of their own; judge memory_mb instead"
        )
        summed = ("gpu_mb",) if self._of_processes is not True else ()
        return dict.fromkeys(("gpu_memory_percent", "gpu_memory_mb", *summed), why)

    def read(self, full: bool) -> dict[str, Any]:  # noqa: ARG002 - both cost the same
        """What a sample has of it.

        Raises:
            ProbeLost: no device is left, or none was there; passed on from `pids`.
        """
        nvml = self._nvml or self._open()
        own_bytes = self._look_for(nvml, self._pids())
        samples = [self._asked(place, partial(self._sample, nvml, place)) for place in sorted(self._counted)]
        gpus = tuple(sample for sample in samples if sample is not None and sample.index in self._used)
        if not gpus:
            raise ProbeLost(self.absent[GPU])
        total = self._bytes(own_bytes, {s.index: s.memory_bytes for s in samples if s is not None})
        return {"gpus": gpus} if total is None else {"gpus": gpus, "gpu_bytes": total}

    def settle(self) -> None:
        """From now on read the processes if one was found on a GPU so far, else the devices."""
        self._of_processes = bool(self._of_processes)
        if self._summed is None:
            self._summed = self._used

    def close(self) -> None:
        """Let the library go; calling it again does nothing."""
        if self._nvml is not None:
            nvml, self._nvml = self._nvml, None
            nvml.close()

    @property
    def _used(self) -> frozenset[int]:
        return self._found or self._hint

    @property
    def _counted(self) -> frozenset[int]:
        return self._used | (self._summed or frozenset())

    def _open(self) -> Nvml:
        nvml = self._nvml = Nvml()
        self._devices = nvml.devices
        everywhere = frozenset(range(len(nvml.devices)))
        said = visible(self._look_up(self._pids()), nvml.devices)
        self._hint = everywhere if said is None else said
        return nvml

    def _look_for(self, nvml: Nvml, pids: frozenset[int]) -> int | None:
        """Find the devices on which these processes are; the bytes they hold, None where not told."""
        own_bytes = None
        on = set()
        for place, device in enumerate(self._devices):
            held = self._asked(place, partial(nvml.processes, device)) or {}
            for size in (size for pid, size in held.items() if pid in pids):
                on.add(place)
                own_bytes = own_bytes if size is None else (own_bytes or 0) + int(size)
        self._found |= on
        if not self._used:
            raise ProbeLost(f"{NONE_TOLD}the server may use none: {VISIBLE} of its process names no GPU")
        return own_bytes

    def _sample(self, nvml: Nvml, place: int) -> GpuSample:
        device = self._devices[place]
        used_bytes, total_bytes = nvml.memory(device) or (None, None)
        if total_bytes is None:
            self._shared |= {place}
        return GpuSample(
            index=place,
            memory_bytes=used_bytes,
            total_bytes=total_bytes,
            percent=nvml.percent(device),
            temperature_c=nvml.temperature_c(device),
            power_w=nvml.power_w(device),
            throttled=nvml.throttled(device),
        )

    def _asked(self, place: int, question: Callable[[], Any]) -> Any:
        """The answer; None when the device is, or was already, lost."""
        if place in self._lost:
            return None
        try:
            return question()
        except DeviceLost as lost:
            name = self._devices[place].name
            self._lost[place] = f"{name} is no longer read, because the driver says: {lost}"
            return None

    def _bytes(self, own_bytes: int | None, used_bytes: Mapping[int, int | None]) -> int | None:
        """GPU memory in all, as settled; None where a part of it is not known."""
        if self._of_processes is None and own_bytes is not None:
            self._of_processes = True
        if self._counted & self._lost.keys():
            return None
        if self._of_processes:
            return own_bytes or 0
        parts = [used_bytes.get(place) for place in (self._summed or self._used)]
        return None if None in parts else sum(part for part in parts if part is not None)


class GpuProbe(Aside):
    """The GPUs of a server, read in a thread of their own: a driver that hangs holds nobody up.

    Args:
        pids: the server's processes.
    """

    def __init__(self, pids: Callable[[], frozenset[int]]) -> None:
        self.devices = GpuDevices(pids)
        super().__init__(self.devices, PERIOD_NS, "GPU figures", share=SHARE)

    @property
    def absent(self) -> dict[str, str]:
        """Source or figure -> why a part of it is not, or no longer, told; all of it is `missing`."""
        return {} if self.missing is not None else self.devices.absent


class GpuReader:
    """GPU memory alone, for those who need a number or a `ProbeLost`."""

    def __init__(self, probe: GpuProbe) -> None:
        self._probe = probe

    @property
    def measure(self) -> str:
        """What is read."""
        return self._probe.devices.what

    def settle(self) -> None:
        """From now on one and the same memory is read: that of processes, or of devices.

        Raises:
            ProbeLost: GPU memory is not available.
        """
        self()
        self._probe.devices.settle()

    def __call__(self) -> int:
        """Bytes now.

        Raises:
            ProbeLost: GPU memory is not, or no longer, available.
        """
        value = self._probe.fresh().get("gpu_bytes")
        if value is None:
            absent = self._probe.devices.absent
            raise ProbeLost(absent.get(GPU) or absent.get("gpu_mb") or "GPU memory is not told")
        return int(value)

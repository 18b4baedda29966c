"""What was read from the server's side, and what was not and why."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import msgspec

from pytest_llmserve.domain.units import BYTES_PER_MB, NS_PER_MS, NS_PER_S

PROCESS, GPU, CGROUP, METRICS, HOST = "process", "gpu", "cgroup", "metrics", "host"
"""Where figures come from: the server's processes, GPUs, control group, own metrics, and its machine."""


USS_AND_SWAP, HELD, RSS = "USS + swap", "anonymous + shared + swap", "RSS"
"""Measures of memory, as sentences name them: what is told, the fullest first, is judged."""


class GpuSample(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU at one instant; None where its driver does not tell.

    Attributes:
        index: of the device, or of its MIG instance, as `ResourceWindow.gpu_names` has it.
        memory_bytes: used by anyone on the device.
        percent: share of the time in which anything ran on it.
        throttled: why the driver holds its clocks down, such as "thermal"; "" = it does not.
    """

    index: int
    memory_bytes: int | None = None
    total_bytes: int | None = None
    percent: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    throttled: str | None = None

    @property
    def memory_percent(self) -> float | None:
        """Used of all its memory."""
        if self.memory_bytes is None or not self.total_bytes:
            return None
        return 100 * self.memory_bytes / self.total_bytes


class ResourceSample(msgspec.Struct, frozen=True, kw_only=True):
    """The server and its surroundings at one instant; None where nobody tells.

    Attributes:
        at_ns: monotonic clock, when the reading was finished.
        late_ns: how much later than planned the reading began.
        uss_bytes: unique set size of all processes together.
        pss_bytes: proportional set size: a page that n processes share counts an n-th in each.
        shared_bytes: memory that the tree's processes share with each other, counted once.
        held_bytes: memory that no file backs, swapped out or not: anonymous and shared, each page of the
            tree once.
        cpu_percent: 100 = one core, since the sample before that has it.
        busiest_percent: of the process that used most, since the sample before that has it.
        gpu_bytes: GPU memory; of what, the window says.
        gpus: the devices that the server uses; all of them where that is not known.
        cgroup_bytes, cgroup_limit_bytes: memory of the server's control group, and the most it may have.
        oom_kills: processes that the kernel has ended there for want of memory, since it was made.
        throttled_ns: time the group has waited for CPU that its quota denied it, since it was made.
        running, waiting: requests in work and in the queue, as the server's metrics say.
        kv_cache_percent: of the key-value cache in use, as the server's metrics say.
        host_cpu_percent: of all cores of the machine, 100 = all busy.
        host_available_bytes: memory that the machine could still give.
    """

    at_ns: int
    late_ns: int = 0
    processes: int | None = None
    rss_bytes: int | None = None
    uss_bytes: int | None = None
    pss_bytes: int | None = None
    shared_bytes: int | None = None
    held_bytes: int | None = None
    swap_bytes: int | None = None
    cpu_percent: float | None = None
    busiest_percent: float | None = None
    threads: int | None = None
    open_files: int | None = None
    gpu_bytes: int | None = None
    gpus: tuple[GpuSample, ...] = ()
    cgroup_bytes: int | None = None
    cgroup_limit_bytes: int | None = None
    oom_kills: int | None = None
    throttled_ns: int | None = None
    running: float | None = None
    waiting: float | None = None
    kv_cache_percent: float | None = None
    host_cpu_percent: float | None = None
    host_available_bytes: int | None = None

    @property
    def memory_bytes(self) -> int | None:
        """USS + swap: what the tree alone holds, also when the system has swapped it out."""
        if self.uss_bytes is None:
            return None
        return self.uss_bytes + (self.swap_bytes or 0)

    @property
    def gpu_memory_percent(self) -> float | None:
        """Of the fullest device."""
        return _most(gpu.memory_percent for gpu in self.gpus)

    @property
    def gpu_memory_bytes(self) -> int | None:
        """In use on the device that holds most, by anyone."""
        return max((gpu.memory_bytes for gpu in self.gpus if gpu.memory_bytes is not None), default=None)

    @property
    def gpu_percent(self) -> float | None:
        """Use of the busiest device."""
        return _most(gpu.percent for gpu in self.gpus)

    @property
    def gpu_temperature_c(self) -> float | None:
        """Of the hottest device."""
        return _most(gpu.temperature_c for gpu in self.gpus)

    @property
    def gpu_power_w(self) -> float | None:
        """Of all devices together."""
        told = [gpu.power_w for gpu in self.gpus if gpu.power_w is not None]
        return sum(told) if told else None


def _most(values: object) -> float | None:
    return max((value for value in values if value is not None), default=None)  # type: ignore[attr-defined]


class Figure(NamedTuple):
    """A figure of a sample.

    Attributes:
        field: of `ResourceSample`.
        divisor: what to divide it by.
        source: which probe tells it.
    """

    field: str
    divisor: float
    source: str


FIGURES: dict[str, Figure] = {
    "rss_mb": Figure("rss_bytes", BYTES_PER_MB, PROCESS),
    "uss_mb": Figure("uss_bytes", BYTES_PER_MB, PROCESS),
    "pss_mb": Figure("pss_bytes", BYTES_PER_MB, PROCESS),
    "shared_mb": Figure("shared_bytes", BYTES_PER_MB, PROCESS),
    "held_mb": Figure("held_bytes", BYTES_PER_MB, PROCESS),
    "swap_mb": Figure("swap_bytes", BYTES_PER_MB, PROCESS),
    "memory_mb": Figure("memory_bytes", BYTES_PER_MB, PROCESS),
    "cpu_percent": Figure("cpu_percent", 1, PROCESS),
    "busiest_percent": Figure("busiest_percent", 1, PROCESS),
    "threads": Figure("threads", 1, PROCESS),
    "open_files": Figure("open_files", 1, PROCESS),
    "processes": Figure("processes", 1, PROCESS),
    "gpu_mb": Figure("gpu_bytes", BYTES_PER_MB, GPU),
    "gpu_memory_percent": Figure("gpu_memory_percent", 1, GPU),
    "gpu_memory_mb": Figure("gpu_memory_bytes", BYTES_PER_MB, GPU),
    "gpu_percent": Figure("gpu_percent", 1, GPU),
    "gpu_temperature_c": Figure("gpu_temperature_c", 1, GPU),
    "gpu_power_w": Figure("gpu_power_w", 1, GPU),
    "cgroup_mb": Figure("cgroup_bytes", BYTES_PER_MB, CGROUP),
    "cgroup_limit_mb": Figure("cgroup_limit_bytes", BYTES_PER_MB, CGROUP),
    "oom_kills": Figure("oom_kills", 1, CGROUP),
    "throttled_s": Figure("throttled_ns", NS_PER_S, CGROUP),
    "running": Figure("running", 1, METRICS),
    "queue": Figure("waiting", 1, METRICS),
    "kv_cache_percent": Figure("kv_cache_percent", 1, METRICS),
    "host_cpu_percent": Figure("host_cpu_percent", 1, HOST),
    "host_available_mb": Figure("host_available_bytes", BYTES_PER_MB, HOST),
}
"""Name of a figure -> where it lies."""


class ResourceWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The samples of a stretch of time.

    Attributes:
        missing: why there are no (or no more) samples of the server's processes, or None.
        gpu: what `gpu_bytes` is, "GPU memory of the server's processes"; None = it was not read.
        gpu_names: `GpuSample.index` -> name of the device.
        absent: source -> why it tells nothing, or nothing more; or figure -> why it alone is not told.
            A source that was not asked for is in none.
        cores: CPUs on which the server's processes may run; None = not known.
        faults: source -> what was wrong the last time it did not answer, though it does now.
        full_ns: how long the quickest full reading of the processes' memory took; None = none was taken.
        renewed_ns: when it had been restarted and was watched as another process from then on.
        parts: source -> of which of several replicas alone it tells; a source that tells of all is in none.
    """

    samples: tuple[ResourceSample, ...] = ()
    missing: str | None = None
    gpu: str | None = None
    gpu_names: dict[int, str] = {}
    absent: dict[str, str] = {}
    cores: int | None = None
    renewed_ns: tuple[int, ...] = ()
    full_ns: int | None = None
    faults: dict[str, str] = {}
    parts: dict[str, str] = {}

    def part(self, figure: str) -> str:
        """Of which replicas alone a figure is; "" where it is of all. Raises KeyError as `values`."""
        return self.parts.get(_figure(figure).source, "")

    @property
    def gpu_missing(self) -> str | None:
        """Why GPU memory was not read, or not to the end; or None."""
        return self.why("gpu_mb")

    def why(self, figure: str) -> str | None:
        """Why a figure is not, or no longer, read; None while its source tells.

        Raises:
            KeyError: no such figure; the text lists them.
        """
        source = _figure(figure).source
        of_all = self.missing if source == PROCESS else self.absent.get(source)
        return of_all or self.absent.get(figure)

    def values(self, figure: str) -> list[float]:
        """The readings of one figure, such as "rss_mb".

        Raises:
            KeyError: no such figure; the text lists them.
        """
        field, divisor, _ = _figure(figure)
        readings = (getattr(sample, field) for sample in self.samples)
        return [reading / divisor for reading in readings if reading is not None]

    def peak(self, figure: str) -> float | None:
        """The highest reading, or None when there is none."""
        return max(self.values(figure), default=None)

    def rise(self, figure: str) -> float | None:
        """The last reading less the first, of a figure that only counts up; None without two.

        Of a server that was restarted the rises before and after it together: they may count differently.
        """
        _figure(figure)
        edges = pairwise((None, *self.renewed_ns, None))
        parts = [self.between(start_ns, stop_ns).values(figure) for start_ns, stop_ns in edges]
        rises = [values[-1] - values[0] for values in parts if len(values) > 1]
        return sum(rises) if rises else None

    def between(self, start_ns: int | None, stop_ns: int | None) -> ResourceWindow:
        """The part within [start_ns, stop_ns]; None = no bound."""

        def within(at_ns: int) -> bool:
            return (start_ns is None or at_ns >= start_ns) and (stop_ns is None or at_ns <= stop_ns)

        return msgspec.structs.replace(
            self,
            samples=tuple(sample for sample in self.samples if within(sample.at_ns)),
            renewed_ns=tuple(at_ns for at_ns in self.renewed_ns if within(at_ns)),
        )

    def summary(self) -> dict[str, float | str | int | Mapping[str, str] | None]:
        """Median and peak of each figure that was read, and what was not and why, for reports."""
        out: dict[str, float | str | int | Mapping[str, str] | None] = {
            "n": len(self.samples),
            "missing": self.missing,
        }
        if self.absent:
            out["absent"] = dict(self.absent)
        if self.parts:
            out["parts"] = dict(self.parts)
        for figure in FIGURES if self.samples else ():
            values = self.values(figure)
            if values:
                out[figure + "_median"] = round(median(values), 3)
                out[figure + "_peak"] = round(max(values), 3)
        if self.samples:
            out["late_ms_max"] = round(max(sample.late_ns for sample in self.samples) / NS_PER_MS, 3)
        if self.full_ns is not None:
            out["full_ms"] = round(self.full_ns / NS_PER_MS, 3)
        return out


def _figure(name: str) -> Figure:
    if name not in FIGURES:
        raise KeyError(f"no figure {name!r}: one of {', '.join(FIGURES)}")
    return FIGURES[name]


class CountChange(msgspec.Struct, frozen=True, kw_only=True):
    """How many of something a server had open at rest: before a run, and after it.

    Attributes:
        figure: "open_files" or "threads".
        before, after: readings.
        missing: why a reading is missing, or None.
    """

    figure: str
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    missing: str | None = None

    @property
    def kept(self) -> int | None:
        """The fewest after minus the fewest before, or None without both."""
        return min(self.after) - min(self.before) if self.before and self.after else None


class MemoryChange(msgspec.Struct, frozen=True, kw_only=True):
    """Memory before a run, and after it when it had settled. In bytes.

    Attributes:
        measure: what was read: one of those above, or what GPU memory.
        before: readings before the load.
        after: readings after the load, at the end of settling.
        missing: why a reading is missing, or None.
        gpu: the same of GPU memory, where it was asked for.
        counts: of what else was asked for.
    """

    measure: str
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    settled_after_ns: int = 0
    missing: str | None = None
    gpu: MemoryChange | None = None
    counts: tuple[CountChange, ...] = ()

    @property
    def retained_bytes(self) -> float | None:
        """Median after minus median before, or None without both."""
        if not self.before or not self.after:
            return None
        return median(self.after) - median(self.before)

"""The server's figures while a load was on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from pytest_llmserve.domain.log import LogWindow
from pytest_llmserve.domain.result import LoadResult
from pytest_llmserve.domain.samples import FIGURES, GpuSample, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import NS_PER_S

FEWEST = 3
"""Readings from which on something is said to have lasted: two may both be chance."""
SHORTEST_NS = NS_PER_S
"""A figure that was high for less says nothing of a load."""

NO_LOG = LogWindow()

Timed = tuple[int, float]


@dataclass(frozen=True)
class Scene:
    """One run, and the samples of its time under load; or a test without runs, and all its samples.

    Attributes:
        run: None = the test ran no load.
        log: of the whole test, and of no scene of one run: which run a line belongs to is not told.
    """

    run: LoadResult | None
    window: ResourceWindow
    log: LogWindow = NO_LOG

    def mean(self, figure: str) -> float | None:
        """Over time; None below three readings or a second, of which nothing lasting can be said."""
        return weighted(self._readings(figure), lambda value: value)

    def share(self, figure: str, least: float) -> float | None:
        """Share of the time in which a figure is at least so high; None as for `mean`."""
        return weighted(self._readings(figure), lambda value: float(value >= least))

    def peak(self, figure: str) -> float | None:
        """The highest reading; None without one."""
        return self.window.peak(figure)

    def lowest(self, figure: str) -> float | None:
        """The lowest reading; None without one."""
        return min(self.window.values(figure), default=None)

    def growth(self, figure: str) -> float | None:
        """The highest reading less the first; None without one."""
        values = self.window.values(figure)
        return max(values) - values[0] if values else None

    @property
    def seconds(self) -> float:
        """From the first sample to the last."""
        samples = self.window.samples
        return (samples[-1].at_ns - samples[0].at_ns) / NS_PER_S if samples else 0.0

    @property
    def failed_share(self) -> float:
        """Of the requests that were sent; 0 without any."""
        return len(self.run.failed) / len(self.run.tried) if self.run is not None and self.run.tried else 0.0

    @property
    def devices(self) -> list[Device]:
        """The GPUs that were read."""
        indices = sorted({gpu.index for sample in self.window.samples for gpu in sample.gpus})
        return [Device.of(self.window, index) for index in indices]

    def _readings(self, figure: str) -> list[Timed]:
        field, divisor, _ = FIGURES[figure]
        told = ((s.at_ns, getattr(s, field)) for s in self.window.samples)
        return [(at_ns, value / divisor) for at_ns, value in told if value is not None]


@dataclass(frozen=True)
class Device:
    """One GPU through the time of a scene.

    Attributes:
        name: "GPU 0 (NVIDIA L4)", or its number alone.
        readings: (monotonic clock, what was read).
    """

    name: str
    readings: Sequence[tuple[int, GpuSample]]

    @classmethod
    def of(cls, window: ResourceWindow, index: int) -> Device:
        """The device with this `GpuSample.index`."""
        name = window.gpu_names.get(index, f"GPU {index}")
        return cls(name, [(s.at_ns, gpu) for s in window.samples for gpu in s.gpus if gpu.index == index])

    @property
    def memory_percent(self) -> float | None:
        """Of its memory in use, at the fullest."""
        return max(self._memory(), default=None)

    @property
    def memory_growth(self) -> float:
        """Its fullest less its first reading, in percent of its memory; 0 without any."""
        values = self._memory()
        return max(values) - values[0] if values else 0.0

    @property
    def percent(self) -> float | None:
        """Share of the time in which it was busy, over time; None below three readings."""
        return weighted(
            [(at, gpu.percent) for at, gpu in self.readings if gpu.percent is not None], lambda value: value
        )

    @property
    def temperature_c(self) -> float | None:
        """At the hottest."""
        told = [gpu.temperature_c for _, gpu in self.readings if gpu.temperature_c is not None]
        return max(told, default=None)

    def throttled(self, counts: Callable[[str], bool]) -> float | None:
        """Share of the time in which a reason held its clocks down for which `counts` is true."""
        told = [(at, gpu.throttled) for at, gpu in self.readings if gpu.throttled is not None]
        return weighted([(at, float(counts(reason))) for at, reason in told], lambda value: value)

    def reasons(self) -> list[str]:
        """Why its clocks were held down, each once; one reading may have several, "thermal, power cap"."""
        told = (gpu.throttled.split(", ") for _, gpu in self.readings if gpu.throttled)
        return list(dict.fromkeys(chain.from_iterable(told)))

    def _memory(self) -> list[float]:
        return [used for _, gpu in self.readings if (used := gpu.memory_percent) is not None]


def weighted(readings: Sequence[Timed], of: Callable[[float], float]) -> float | None:
    """Mean over time: each reading stands for the time since the one before. None where they are too few."""
    if len(readings) < FEWEST or readings[-1][0] - readings[0][0] < SHORTEST_NS:
        return None
    times = [at_ns for at_ns, _ in readings]
    spans = [times[1] - times[0], *(b - a for a, b in pairwise(times))]
    return sum(of(value) * span for (_, value), span in zip(readings, spans, strict=True)) / sum(spans)


def scene_of(run: LoadResult, resources: ResourceWindow) -> Scene:
    """A run with the samples of its steady window, or of all its time where that holds too few.

    Args:
        run: one of the test.
        resources: the samples of the whole test, for a run that has none of its own.
    """
    own = run.resources if run.resources.samples else resources
    # Stamps of rounds were moved together, those of the samples were not.
    spans = [] if run.rounds is not None else [run.steady_ns, (run.start_ns, _end_ns(run))]
    for start_ns, stop_ns in spans:
        part = own.between(start_ns, stop_ns)
        if len(part.samples) >= FEWEST and _span_ns(part.samples) >= SHORTEST_NS:
            return Scene(run, part)
    return Scene(run, own)


def _end_ns(run: LoadResult) -> int:
    return max(_told(record.end_ns for record in run.requests), default=0)


def _told(values: Iterable[int | None]) -> list[int]:
    return [value for value in values if value is not None]


def _span_ns(samples: Sequence[ResourceSample]) -> int:
    return samples[-1].at_ns - samples[0].at_ns

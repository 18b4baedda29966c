"""Samples kept compact: eight bytes a figure, however long the test is."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pytest_llmserve.domain.samples import FIGURES, GpuSample, ResourceSample

_SAMPLE = tuple(name for name in ResourceSample.__struct_fields__ if name not in {"at_ns", "late_ns", "gpus"})
_GPU = tuple(name for name in GpuSample.__struct_fields__ if name not in {"index", "throttled"})
_WHOLE = {
    field.name
    for kind in (ResourceSample, GpuSample)
    for field in msgspec.structs.fields(kind)
    if field.type == int | None
}
"""Fields that are whole numbers: below 2**53 a float holds each exactly."""
_NONE = math.nan
_LATELY = 20
"""Samples: what is told once a second is in one of ten where readings are close together."""


class SampleSeries:
    """A list of samples, packed. Mutable; whoever shares it among threads guards it.

    Columns are made when a figure is first told, so a probe that is absent takes no room.
    """

    def __init__(self) -> None:
        self._at_ns = array("q")
        self._late_ns = array("q")
        self._columns: dict[Any, array[float]] = {}
        self._reasons: dict[int, list[str | None]] = {}

    def __len__(self) -> int:
        return len(self._at_ns)

    def append(self, sample: ResourceSample) -> None:
        """Keep one more."""
        before = len(self)
        self._at_ns.append(sample.at_ns)
        self._late_ns.append(sample.late_ns)
        told: dict[Any, Any] = {
            name: value for name in _SAMPLE if (value := getattr(sample, name)) is not None
        }
        for gpu in sample.gpus:
            told |= {(gpu.index, n): v for n in _GPU if (v := getattr(gpu, n)) is not None}
            reasons = self._reasons.setdefault(gpu.index, [None] * before)
            reasons.append(gpu.throttled)
        for key in told.keys() - self._columns.keys():
            self._columns[key] = array("d", [_NONE]) * before
        for key, column in self._columns.items():
            column.append(told.get(key, _NONE))
        for reasons in self._reasons.values():
            if len(reasons) <= before:
                reasons.append(None)

    def all(self) -> tuple[ResourceSample, ...]:
        """All samples kept."""
        return tuple(self._sample(place) for place in range(len(self)))

    def last(self, field: str) -> float | None:
        """The last reading of a field among the latest twenty samples; None without one."""
        column = self._columns.get(field, array("d"))
        told = (value for value in reversed(column[-_LATELY:]) if not math.isnan(value))
        number = next(told, None)
        return None if number is None else _value(field, number)

    def since(self, start_ns: int | None, stop_ns: int | None) -> tuple[ResourceSample, ...]:
        """Those within [start_ns, stop_ns]; None = no bound."""
        return tuple(
            self._sample(place)
            for place, at_ns in enumerate(self._at_ns)
            if (start_ns is None or at_ns >= start_ns) and (stop_ns is None or at_ns <= stop_ns)
        )

    def thin(self) -> None:
        """Drop half of them, as `thinned` says."""
        kept = thinned(self.all())
        self._at_ns, self._late_ns = array("q"), array("q")
        self._columns, self._reasons = {}, {}
        for sample in kept:
            self.append(sample)

    def _sample(self, place: int) -> ResourceSample:
        told = {name: _value(name, column[place]) for name, column in self._columns.items()}
        figures = {name: value for name, value in told.items() if isinstance(name, str)}
        return ResourceSample(
            at_ns=self._at_ns[place], late_ns=self._late_ns[place], gpus=tuple(self._gpus(place)), **figures
        )

    def _gpus(self, place: int) -> Iterator[GpuSample]:
        for index, reasons in sorted(self._reasons.items()):
            told = {n: _value(n, self._columns[index, n][place]) for n in _GPU if (index, n) in self._columns}
            if reasons[place] is not None or any(value is not None for value in told.values()):
                yield GpuSample(index=index, throttled=reasons[place], **told)


def _value(name: Any, number: float) -> Any:
    if math.isnan(number):
        return None
    return int(number) if name in _WHOLE else number


def thinned(samples: Sequence[ResourceSample]) -> list[ResourceSample]:
    """Of each two neighbours the fuller one, else the first, and the peak of every figure.

    Not the higher: what is kept of the past would then lie above what is read later.
    """
    kept = {_peak_of(samples, figure.field) for figure in FIGURES.values()} - {None}
    for first in range(0, len(samples), 2):
        pair = range(first, min(first + 2, len(samples)))
        kept.add(max(pair, key=lambda i: samples[i].uss_bytes is not None))
    return [sample for index, sample in enumerate(samples) if index in kept]


def _peak_of(samples: Sequence[ResourceSample], field: str) -> int | None:
    told = [index for index, sample in enumerate(samples) if getattr(sample, field) is not None]
    return max(told, key=lambda index: float(getattr(samples[index], field)), default=None)

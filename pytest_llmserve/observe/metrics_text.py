"""A page of metrics in Prometheus' text form, read for the figures known. Pure; knows prometheus_client."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from pytest_llmserve.domain.samples import GPU, HOST, METRICS, GpuSample
from pytest_llmserve.observe import metric_names as names

_NAMES = frozenset(names.NAMES)
_STARTS = tuple(name.encode() for name in names.NAMES)

Device = tuple[str, str, str]
"""Host, GPU and MIG instance, as an exporter labels them."""


class Series(NamedTuple):
    """One line of a page."""

    name: str
    labels: Mapping[str, str]
    value: float


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What a page tells.

    Attributes:
        server: fields of `ResourceSample` -> value, of the model server.
        devices: GPUs, each with what is told of it.
        models: names of the GPUs, where they are told.
        cpu_s: (idle, all) CPU seconds of the machine since it was started, or None.
        available_bytes: memory that the machine could still give.
    """

    server: Mapping[str, float] = {}
    devices: Mapping[Device, Mapping[str, float]] = {}
    models: Mapping[Device, str] = {}
    cpu_s: tuple[float, float] | None = None
    available_bytes: int | None = None

    @property
    def tells(self) -> frozenset[str]:
        """The sources whose figures are on it."""
        machine = self.cpu_s is not None or self.available_bytes is not None
        found = ((METRICS, self.server), (GPU, self.devices), (HOST, machine))
        return frozenset(source for source, told in found if told)


def known_lines(body: bytes) -> list[bytes]:
    """The lines that begin like a name that is known; the parser takes far longer over all of them."""
    return [line for line in body.split(b"\n") if line.startswith(_STARTS)]


def series_of(body: bytes) -> list[Series]:
    """The series of known names, those without a number left out.

    Raises:
        ValueError: a line of theirs is not in Prometheus' text form.
        ImportError: prometheus_client is not installed.
    """
    from prometheus_client.parser import text_string_to_metric_families

    text = b"\n".join(known_lines(body)).decode("utf-8", "replace") + "\n"
    found = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return [
        Series(sample.name, sample.labels, sample.value)
        for sample in found
        if sample.name in _NAMES and math.isfinite(sample.value)
    ]


def page_of(body: bytes) -> Page:
    """Read a page; raises as `series_of` does."""
    series = series_of(body)
    cpu = [one for one in series if one.name == names.CPU_SECONDS]
    idle_s = sum(one.value for one in cpu if one.labels.get("mode") in names.IDLE_MODES)
    available = [one.value for one in series if one.name == names.AVAILABLE]
    devices, models = _devices(series)
    return Page(
        server=_server(series),
        devices=devices,
        models=models,
        cpu_s=(idle_s, sum(one.value for one in cpu)) if cpu else None,
        available_bytes=int(available[0]) if available else None,
    )


def together(pages: Iterable[Page]) -> dict[str, float]:
    """Figures of several servers that stand behind one address: counts added, the highest share."""
    told: dict[str, float] = {}
    for page in pages:
        for field, value in page.server.items():
            shared = field == names.KV_CACHE
            told[field] = max(told.get(field, 0.0), value) if shared else told.get(field, 0.0) + value
    return told


def gpus_of(pages: Iterable[Page]) -> tuple[GpuSample, ...]:
    """The GPUs of all pages, numbered as they are labelled, or from 0 where two have one number."""
    devices = {device: told for page in pages for device, told in page.devices.items()}
    return tuple(
        GpuSample(index=index, **_of_gpu(devices[device])) for device, index in numbered(devices).items()
    )


def gpu_names(pages: Iterable[Page]) -> dict[int, str]:
    """Number -> name of the GPU, as `gpus_of` numbers them."""
    listed = list(pages)
    models = {device: model for page in listed for device, model in page.models.items()}
    numbers = numbered([device for page in listed for device in page.devices])
    return {index: models[device] for device, index in numbers.items() if device in models}


def numbered(devices: Iterable[Device]) -> dict[Device, int]:
    """A number for each device, in their order."""
    ordered = sorted(set(devices), key=lambda device: (device[0], device[1].zfill(4), device[2].zfill(4)))
    labels = [device[1] for device in ordered]
    if len(set(labels)) == len(labels) and all(label.isdecimal() for label in labels):
        return {device: int(device[1]) for device in ordered}
    return {device: number for number, device in enumerate(ordered)}


def busy_percent(before: tuple[float, float], after: tuple[float, float]) -> float | None:
    """Share of all cores' time that was not idle, between two readings of (idle, all) seconds.

    None when no time passed, or when the machine was started again in between.
    """
    idle_s, all_s = after[0] - before[0], after[1] - before[1]
    return 100 * max(0.0, 1 - idle_s / all_s) if all_s > 0 and idle_s >= 0 else None


def _server(series: Sequence[Series]) -> dict[str, float]:
    told: dict[str, float] = {}
    for known in names.SERVERS:
        mine = [one for one in series if _is(one, known)]
        if mine and known.field not in told:
            value = max(one.value for one in mine) if known.field == names.KV_CACHE else _count(mine)
            told[known.field] = value * known.factor
    return told


def _is(one: Series, known: names.Known) -> bool:
    if one.name != known.name or known.only is None:
        return one.name == known.name
    label, value = known.only
    return one.labels.get(label) == value


def _count(series: Iterable[Series]) -> float:
    """The sum over engines and models, each request counted once."""
    groups: dict[frozenset[tuple[str, str]], float] = {}
    for one in series:
        labels = frozenset(item for item in one.labels.items() if item[0] not in names.REPLICAS)
        groups[labels] = max(groups.get(labels, one.value), one.value)
    # SGLang with priorities tells each of them, and all together under an empty one.
    whole = [value for labels, value in groups.items() if ("priority", "") in labels]
    return sum(whole or groups.values())


def _devices(series: Iterable[Series]) -> tuple[dict[Device, dict[str, float]], dict[Device, str]]:
    devices: dict[Device, dict[str, float]] = {}
    models: dict[Device, str] = {}
    for one in series:
        if one.name not in names.DEVICES or (one.name.startswith("DCGM") and one.value >= names.DCGM_BLANK):
            continue
        what, factor = names.DEVICES[one.name]
        labels = one.labels
        gpu = labels.get("gpu") or labels.get("UUID") or labels.get("gpu_uuid") or "0"
        device = (labels.get("Hostname", ""), gpu, labels.get("GPU_I_ID", ""))
        told = devices.setdefault(device, {})
        # A device that several containers share is listed once for each of them.
        told[what] = max(told.get(what, 0.0), one.value * factor)
        if model := labels.get("modelName") or labels.get("chip"):
            models[device] = model
    return devices, models


def _of_gpu(told: Mapping[str, float]) -> dict[str, Any]:
    used, free = told.get(names.USED), told.get(names.FREE)
    total = told.get(names.TOTAL)
    if total is None and used is not None and free is not None:
        total = used + free + told.get(names.RESERVED, 0.0)
    return {
        "memory_bytes": None if used is None else int(used),
        "total_bytes": None if total is None else int(total),
        **{name: told.get(name) for name in (names.PERCENT, names.TEMPERATURE, names.POWER)},
    }

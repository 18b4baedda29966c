"""The server's figures as reports show them: peaks in a few lines, devices, and series to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pytest_llmserve.domain.samples import FIGURES, GpuSample, ResourceSample, ResourceWindow
from pytest_llmserve.domain.units import BYTES_PER_MB, NS_PER_MS, NS_PER_S

MOST_POINTS = 200
"""Of a series in a report: finer than a chart is wide."""

_PROCESSES = (
    ("rss_mb", "RSS", " MB"),
    ("memory_mb", "USS + swap", " MB"),
    ("gpu_mb", "GPU memory", " MB"),
    ("cpu_percent", "CPU", " %"),
    ("threads", "threads", ""),
    ("open_files", "open files", ""),
)
_WHEN_ANY = (("swap_mb", "swap", " MB"), ("shared_mb", "shared memory", " MB"))
"""Told only where there is as much as a megabyte of it."""
_REQUESTS = (
    ("running", "in work", ""),
    ("queue", "in the queue", ""),
    ("kv_cache_percent", "KV cache", " %"),
)
LOWEST = "host_available_mb"
"""The figure of which the least is what matters."""
LONG_MS = 50.0
"""A full reading of memory that takes longer is told: it may be seen in latencies."""
COUNTERS = frozenset({"oom_kills", "throttled_s"})
"""Figures that only rise, since before the test: how much is what matters."""


def peak_lines(window: ResourceWindow) -> list[str]:
    """The server's peaks, what belongs together on a line; or why they are not known; or nothing."""
    told = [_list(window, _PROCESSES, 0), _list(window, _WHEN_ANY, 1)]
    processes = ", ".join(part for part in told if part)
    rest = [*_device_lines(window), *(line for line in _surroundings(window) if line)]
    if not processes and not rest:
        return [f"server: not watched: {window.missing}"] if window.missing else []
    if processes:
        lost = f"; no longer watched: {window.missing}" if window.missing else ""
        held_up = held_up_text(None if window.full_ns is None else window.full_ns / NS_PER_MS)
        rest += [held_up] if held_up else []
        return [f"server, peaks: {processes}{lost}", *(f"  {line}" for line in rest)]
    unread = [f"  its processes: not watched: {window.missing}"] if window.missing else []
    return ["server, peaks:", *(f"  {line}" for line in rest), *unread]


def held_up_text(full_ms: float | None) -> str:
    """What reading its memory does to a large server; "" where that is little, or not known."""
    if full_ms is None or full_ms <= LONG_MS:
        return ""
    return f"a full reading of the server's memory takes {full_ms:.0f} ms: it is held up for as long"


def devices(window: ResourceWindow) -> list[dict[str, Any]]:
    """Peaks of each GPU, and how much of the time it was busy and held back; null where it does not tell."""
    return [_device(window, index) for index in _indices(window)]


def peaks(window: ResourceWindow) -> dict[str, float]:
    """The highest of each figure that was read; of `host_available_mb` the lowest, of counters the rise."""
    told = {}
    for figure in FIGURES:
        values = window.values(figure)
        if values:
            told[figure] = round((min if figure == LOWEST else max)(values), 3)
    for counter in COUNTERS & told.keys():
        told[counter] = round(window.rise(counter) or 0.0, 3)
    return told


def series(window: ResourceWindow, started_ns: int | None) -> dict[str, list[float | None]]:
    """Each figure that was read over time, at most 200 points: {"at_s": [...], "rss_mb": [...], ...}.

    A point is the highest of its stretch of samples (of `host_available_mb` the lowest), so no peak is
    lost; None where nobody told it then. `at_s` is the end of the stretch.

    Args:
        window: of the whole test.
        started_ns: monotonic clock, from which `at_s` counts; None = the first sample.
    """
    samples = window.samples
    if not samples:
        return {}
    zero_ns = samples[0].at_ns if started_ns is None else started_ns
    stretches = list(_stretches(samples))
    found: dict[str, list[float | None]] = {
        "at_s": [round((stretch[-1].at_ns - zero_ns) / NS_PER_S, 3) for stretch in stretches]
    }
    for name, figure in FIGURES.items():
        pick: Callable[..., float] = min if name == LOWEST else max
        points = [_point(stretch, figure.field, figure.divisor, pick) for stretch in stretches]
        if any(point is not None for point in points):
            found[name] = points
    return found


def _point(
    stretch: Sequence[ResourceSample], field: str, divisor: float, pick: Callable[..., float]
) -> float | None:
    told = [value for sample in stretch if (value := getattr(sample, field)) is not None]
    return round(pick(told) / divisor, 3) if told else None


def _stretches(samples: Sequence[ResourceSample]) -> Iterator[Sequence[ResourceSample]]:
    size = -(-len(samples) // MOST_POINTS)
    for first in range(0, len(samples), size):
        yield samples[first : first + size]


def _list(window: ResourceWindow, rows: Sequence[tuple[str, str, str]], least: float) -> str:
    told = [(name, window.peak(figure), unit) for figure, name, unit in rows]
    return ", ".join(
        f"{name} {peak:.0f}{unit}" for name, peak, unit in told if (peak or 0) >= least and peak is not None
    )


def _surroundings(window: ResourceWindow) -> Iterator[str]:
    requests = _list(window, _REQUESTS, 0)
    yield f"requests: {requests}" if requests else ""
    used, limit = window.peak("cgroup_mb"), window.peak("cgroup_limit_mb")
    kills, waited_s = window.rise("oom_kills"), window.rise("throttled_s")
    parts = [] if used is None else [f"{used:.0f} MB{'' if limit is None else f' of {limit:.0f} MB'}"]
    parts += [f"waited {waited_s:.1f} s for CPU"] if (waited_s or 0) >= 0.1 else []
    parts += [f"out-of-memory kills {kills:.0f}"] if kills else []
    yield f"control group: {', '.join(parts)}" if parts else ""
    machine, left = window.peak("host_cpu_percent"), min(window.values(LOWEST), default=None)
    parts = [] if machine is None else [f"CPU {machine:.0f} %"]
    parts += [] if left is None else [f"{left:.0f} MB of memory left at the least"]
    yield f"machine: {', '.join(parts)}" if parts else ""


def _device_lines(window: ResourceWindow) -> Iterator[str]:
    for device in devices(window):
        parts = []
        if device["memory_percent_peak"] is not None:
            parts.append(f"memory {device['memory_percent_peak']:.0f} %")
        if device["memory_mb_peak"] is not None:
            parts.append(f"{device['memory_mb_peak']:.0f} MB")
        if device["percent_median"] is not None:
            parts.append(f"busy {device['percent_median']:.0f} %")
        if device["temperature_c_peak"] is not None:
            parts.append(f"{device['temperature_c_peak']:.0f} °C")
        if device["power_w_peak"] is not None:
            parts.append(f"{device['power_w_peak']:.0f} W")
        if device["throttled"]:
            parts.append(f"held back: {', '.join(device['throttled'])}")
        yield f"{device['name']}: {', '.join(parts)}" if parts else device["name"]


def _indices(window: ResourceWindow) -> list[int]:
    return sorted({gpu.index for sample in window.samples for gpu in sample.gpus})


def _device(window: ResourceWindow, index: int) -> dict[str, Any]:
    read = [gpu for sample in window.samples for gpu in sample.gpus if gpu.index == index]

    def told(of: Callable[[GpuSample], float | None]) -> list[float]:
        return sorted(value for gpu in read if (value := of(gpu)) is not None)

    def peak(of: Callable[[GpuSample], float | None]) -> float | None:
        values = told(of)
        return round(values[-1], 3) if values else None

    busy = told(lambda gpu: gpu.percent)
    memory = peak(lambda gpu: gpu.memory_bytes)
    return {
        "name": window.gpu_names.get(index, f"GPU {index}"),
        "memory_mb_peak": None if memory is None else round(memory / BYTES_PER_MB, 3),
        "memory_percent_peak": peak(lambda gpu: gpu.memory_percent),
        "percent_median": round(busy[len(busy) // 2], 3) if busy else None,
        "percent_peak": round(busy[-1], 3) if busy else None,
        "temperature_c_peak": peak(lambda gpu: gpu.temperature_c),
        "power_w_peak": peak(lambda gpu: gpu.power_w),
        "throttled": list(
            dict.fromkeys(why for gpu in read if gpu.throttled for why in gpu.throttled.split(", "))
        ),
    }


def summary_text(resources: Mapping[str, Any]) -> str:
    """One line for the summary, from the figures of a run as the report has them."""
    parts = [_rss(resources), *(_told(resources, *row) for row in _SUMMARY)]
    for gpu in resources.get("gpus", ()):
        used = ", ".join(_used(gpu))
        parts.append(f"{gpu['name']} {used}" if used else "")
    told = [part for part in parts if part]
    missing = resources.get("missing")
    if not told:
        return f"server: not watched: {missing}"
    unread = missing is not None and "rss_mb_peak" not in resources
    return f"server: {', '.join(told)}{f'; its processes not watched: {missing}' if unread else ''}"


_SUMMARY = (
    ("memory_mb_peak", "USS + swap peak", " MB", 0),
    ("shared_mb_peak", "shared memory peak", " MB", 1),
    ("cpu_percent_median", "CPU", " %", 0),
    ("retained_mb", "retained", " MB", None),
    ("swap_mb_peak", "swap peak", " MB", 1),
    ("queue_peak", "queue peak", "", 0),
    ("kv_cache_percent_peak", "KV cache peak", " %", 0),
    ("throttled_s_rise", "denied CPU for", " s", 0.1),
    ("oom_kills_rise", "out-of-memory kills", "", 1),
)
"""Key, what it is called, its unit, and the least that is told (None = any, with a decimal)."""


def _rss(resources: Mapping[str, Any]) -> str:
    if "rss_mb_peak" not in resources:
        return ""
    return f"RSS {resources['rss_mb_median']:.0f} MB, peak {resources['rss_mb_peak']:.0f} MB"


def _told(resources: Mapping[str, Any], key: str, name: str, unit: str, least: float | None) -> str:
    value = resources.get(key)
    if value is None or (least is not None and value < least):
        return ""
    return f"{name} {value:.1f}{unit}" if least is None else f"{name} {value:.0f}{unit}"


def _used(gpu: Mapping[str, Any]) -> list[str]:
    told = (("memory", gpu["memory_percent_peak"]), ("busy", gpu["percent_median"]))
    return [f"{name} {value:.0f} %" for name, value in told if value is not None]

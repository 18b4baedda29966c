"""The server of a test: how it is spoken to, what it can do, and its figures through the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_llmserve.domain.trust import NOT_CHECKED
from pytest_llmserve.reports.figures import held_up_text
from pytest_llmserve.reports.html.markup import Child, Markup, join, tag
from pytest_llmserve.reports.html.tables import facts, folded, items, part, table
from pytest_llmserve.reports.html.words import number, shown, whole

_FIGURES = {
    "rss_mb": "RSS, MB",
    "uss_mb": "USS, MB",
    "pss_mb": "PSS, MB",
    "shared_mb": "shared memory, MB",
    "held_mb": "held by no file, MB",
    "swap_mb": "swap, MB",
    "memory_mb": "USS + swap, MB",
    "cpu_percent": "CPU, %",
    "busiest_percent": "CPU of the busiest process, %",
    "threads": "threads",
    "open_files": "open files",
    "processes": "processes",
    "gpu_mb": "GPU memory of the server, MB",
    "gpu_memory_percent": "memory of the fullest GPU, %",
    "gpu_memory_mb": "memory of the fullest GPU, MB",
    "gpu_percent": "GPU busy, %",
    "gpu_temperature_c": "GPU temperature, °C",
    "gpu_power_w": "GPU power, W",
    "cgroup_mb": "control group, MB",
    "cgroup_limit_mb": "limit of the control group, MB",
    "running": "requests in work",
    "queue": "requests waiting",
    "kv_cache_percent": "KV cache, %",
    "host_cpu_percent": "CPU of the machine, %",
    "host_available_mb": "memory the machine has left, MB",
}
_TOTALS = {
    "host_available_mb_lowest": "Least memory left on the machine, MB",
    "oom_kills_rise": "Out-of-memory kills",
    "throttled_s_rise": "Waited for CPU of its quota, s",
    "retained_mb": "Memory retained, MB",
    "gpu_retained_mb": "GPU memory retained, MB",
    "open_files_kept": "Open files kept",
    "threads_kept": "Threads kept",
    "cores": "CPUs on which it may run",
    "full_ms": "A full reading of its memory, ms",
    "late_ms_max": "Latest sample late by, ms",
    "n": "Samples",
}


def server(found: Mapping[str, Any] | None, resources: Mapping[str, Any] | None) -> Markup | None:
    """Who was tested, and its figures through the whole test."""
    return part(4, "Server", _spoken(found) if found else None, _resources(resources) if resources else None)


def _spoken(found: Mapping[str, Any]) -> Markup:
    values = ", ".join(f"{name}={shown(value)}" for name, value in (found.get("values") or {}).items())
    told = facts(
        ("URL", tag("code", found["url"])),
        ("Model", found.get("model")),
        ("API", found.get("api")),
        ("Because", found.get("because")),
        ("TLS", found.get("tls")),
        ("Started with", values),
        ("Process", str(found["pid"]) if found.get("pid") else None),
    )
    insecure = tag("p", NOT_CHECKED, class_="note warning") if found.get("tls") == NOT_CHECKED else None
    return join(insecure, told, _several(found), _asked(found), _capabilities(found))


def _several(found: Mapping[str, Any]) -> Markup | None:
    servers = found.get("servers") or ()
    if len(servers) < 2:
        return None
    rows: list[list[Child]] = [
        [each["url"], each.get("model"), str(each["pid"]) if each.get("pid") else None] for each in servers
    ]
    return table("Servers that take turns", ("URL", "model", "process"), rows, words=("model", "process"))


def _asked(found: Mapping[str, Any]) -> Markup | None:
    return folded("How its API was found out", items([shown(each) for each in found.get("asked") or ()]))


def _capabilities(found: Mapping[str, Any]) -> Markup | None:
    rows: list[list[Child]] = [
        [name.replace("_", " "), each["word"], each["evidence"]]
        for name, each in (found.get("capabilities") or {}).items()
    ]
    heads = ("capability", "found", "evidence")
    return folded("Capabilities", table("What it was seen to do", heads, rows, words=heads)) if rows else None


def _resources(found: Mapping[str, Any]) -> Markup:
    rows: list[list[Child]] = [
        [title, _amount(found.get(f"{name}_median")), _amount(found[f"{name}_peak"])]
        for name, title in _FIGURES.items()
        if found.get(f"{name}_peak") is not None
    ]
    peaks = table("Through the whole test", ("figure", "median", "peak"), rows) if rows else None
    totals = facts(
        *((title, _amount(found[name])) for name, title in _TOTALS.items() if found.get(name) is not None)
    )
    unwatched = f"Not watched: {found['missing']}" if found.get("missing") else ""
    slow = held_up_text(found.get("full_ms"))
    notes = [tag("p", said, class_="note") for said in (unwatched, slow) if said]
    return join(notes, folded("Figures", peaks, totals), _gpus(found.get("gpus") or ()), _absent(found))


def _amount(value: float | None) -> str:
    """Threads are whole, megabytes seldom."""
    return whole(value) if value is None or value == int(value) else number(value)


def _gpus(gpus: Sequence[Mapping[str, Any]]) -> Markup | None:
    columns = {
        "memory_mb_peak": "memory peak, MB",
        "memory_percent_peak": "memory peak, %",
        "percent_median": "busy, %",
        "percent_peak": "busy peak, %",
        "temperature_c_peak": "°C peak",
        "power_w_peak": "W peak",
    }
    rows: list[list[Child]] = [
        [gpu["name"], *(number(gpu.get(key)) for key in columns), ", ".join(gpu.get("throttled") or ())]
        for gpu in gpus
    ]
    heads = ("GPU", *columns.values(), "held back by")
    return table("GPUs", heads, rows, words=("held back by",)) if rows else None


def _absent(found: Mapping[str, Any]) -> Markup | None:
    lines = [why for why in (found.get("absent") or {}).values() if why]
    return folded("What is not known, and why", items(lines))


def restarts(found: Sequence[Mapping[str, Any]]) -> Markup | None:
    """When it was started again, and how long it was away."""
    rows: list[list[Child]] = [
        [number(each["at_s"]), each["what"], number(each.get("down_ms")), number(each.get("answers_ms"))]
        for each in found
    ]
    heads = ("at, s", "what", "no connection for, ms", "answered after, ms")
    told = table("Restarts; times into the test", heads, rows, words=("what",))
    return part(4, "Restarts", told) if rows else None


def stacks(found: Sequence[Mapping[str, Any]], missing: str | None) -> Markup | None:
    """What its threads did while a load went wrong."""
    dumps = [
        folded(
            f"at {number(each['at_s'])} s: {each['why']}", _threads(each), items(each.get("missing") or ())
        )
        for each in found
    ]
    return part(4, "Stacks", dumps, tag("p", missing, class_="note") if missing else None)


def _threads(dump: Mapping[str, Any]) -> list[Markup]:
    return [
        tag(
            "pre",
            "\n".join(
                [
                    f"{thread.get('server') or ''} pid {thread['pid']} {thread['thread']}: {thread['state']}",
                    *(f"  {frame}" for frame in thread["frames"]),
                ]
            ).strip(),
        )
        for thread in dump["threads"]
    ]

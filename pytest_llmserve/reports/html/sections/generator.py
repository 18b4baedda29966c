"""Health of the load generator: whether the figures are the server's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmserve.reports.html.markup import Markup, tag
from pytest_llmserve.reports.html.tables import facts, folded
from pytest_llmserve.reports.html.words import number, percent, whole


def generator(found: Mapping[str, Any]) -> Markup | None:
    """Its lags, its CPU, what it did not send; open where it may have been the bottleneck."""
    saturated = found.get("saturated")
    spoken = " and ".join(found.get("protocols") or ())
    told = facts(
        ("Bottleneck", saturated),
        ("What to change", found.get("remedy") if saturated else None),
        ("Transport", f"{found['transport']}{f' ({spoken})' if spoken else ''}"),
        ("Stamps of arrival", found["clock"]),
        ("Send lag", _lags(found["send_lag_ms"])),
        ("Receive lag", _lags(found["receive_lag_ms"])),
        ("CPU of the busiest worker", f"{number(found['cpu_percent'])} %"),
        ("CPU time", f"{number(found.get('cpu_s'))} s"),
        ("Workers", whole(found.get("workers"))),
        ("Each on a CPU of its own", "yes" if found.get("pinned") else None),
        ("Lag over latency", percent(found["late_share"]) if found.get("late_share") is not None else None),
        ("Chunks", whole(found.get("chunks"))),
        ("Chunks read together", percent(found.get("merged_share"))),
        *_rare(found),
    )
    title = "Load generator: may have been the bottleneck" if saturated else "Load generator: kept up"
    return folded(title, told, open_=bool(saturated))


def _rare(found: Mapping[str, Any]) -> list[tuple[str, Markup | None]]:
    """What is told only where it happened."""
    names = {
        "dropped": "Requests never sent",
        "crowded": "of them for want of a free connection",
        "reopened": "Connections closed by the server while idle",
        "resent": "Sent again on a new connection",
        "unfinished": "Under way when the run was cut short",
        "gc_pauses": "Garbage collections",
    }
    told = [(name, tag("span", whole(found[key]))) for key, name in names.items() if found.get(key)]
    longest = found.get("gc_longest_ms")
    return [*told, ("the longest", tag("span", f"{number(longest)} ms") if longest else None)]


def _lags(lags: Mapping[str, Any]) -> str | None:
    return ", ".join(f"{name} {number(value)} ms" for name, value in lags.items()) or None

"""Where it was measured, and what the figures mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmserve.reports.html.markup import Markup, join, tag
from pytest_llmserve.reports.html.tables import facts, part
from pytest_llmserve.reports.html.words import whole

_WORDS = {
    "ttft_ms": "TTFT",
    "itl_ms": "ITL",
    "tpot_ms": "TPOT",
    "e2e_ms": "e2e",
    "output_tokens": "output tokens",
    "mean_min_max": "mean, min, max",
    "mb": "MB",
}


def environment(found: Mapping[str, Any]) -> Markup | None:
    """The machine that ran pytest, and its software."""
    told = facts(
        ("Began", found.get("started_at")),
        ("pytest-llmserve", found.get("pytest_llmserve")),
        ("Python", found.get("python")),
        ("System", found.get("system")),
        ("Machine", found.get("machine")),
        ("CPU", found.get("cpu_model")),
        ("CPUs", whole(found["cpus"]) if found.get("cpus") else None),
        ("Memory", f"{whole(found['memory_mb'])} MB" if found.get("memory_mb") else None),
    )
    return part(2, "Environment", told)


def definitions(found: Mapping[str, Any]) -> Markup | None:
    """Each figure in words."""
    rows = [
        join(tag("dt", _WORDS.get(name, name)), tag("dd", meaning))
        for name, meaning in (found.get("definitions") or {}).items()
    ]
    return part(2, "Definitions", tag("dl", rows, class_="definitions") if rows else None)

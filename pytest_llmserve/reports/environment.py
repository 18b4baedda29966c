"""Where the figures were measured."""

from __future__ import annotations

import os
import platform
import sys
from datetime import datetime
from typing import Any

from pytest_llmserve import __version__
from pytest_llmserve.domain.metrics import DEFINITIONS


def environment() -> dict[str, Any]:
    """This machine, its software, and the definitions of the figures."""
    return {
        "pytest_llmserve": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "cpu_model": _cpu_model(),
        "memory_mb": _memory_mb(),
        "definitions": DEFINITIONS,
    }


def moment(at_s: float) -> str:
    """An instant of the wall clock, in seconds since 1970, as ISO 8601 in this machine's zone."""
    return datetime.fromtimestamp(at_s).astimezone().isoformat(timespec="seconds")


def _cpu_model() -> str | None:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or None
    return platform.processor() or None


def _memory_mb() -> int | None:
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000

"""Chunks of an answer that came in one read: what inter-token latency is worth then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MERGED_FROM = 0.05
"""From this share of the chunks on it is said."""


def merged_text(generator: Mapping[str, Any]) -> str:
    """A clause for beside the ITL; empty where few chunks came together.

    Args:
        generator: "generator" of a run's document.
    """
    share = generator.get("merged_share") or 0.0
    if share < MERGED_FROM:
        return ""
    return f"{100 * share:.0f} % of the chunks came together with another in one read, 0 ms apart"

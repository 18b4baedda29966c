"""What hypothesis is told when it is imported: the profile `llmserve`."""

from __future__ import annotations


def setup() -> None:
    """Called by hypothesis, once, at its import."""

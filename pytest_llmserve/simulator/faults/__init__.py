"""Planted faults. Each is one file and one row of the table; nothing is imported until it is switched on."""

from __future__ import annotations

FAULTS: dict[str, str] = {}
"""Name for `--fault` -> where its class lies."""

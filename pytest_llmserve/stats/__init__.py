"""Intervals and bounds for shares, quantiles and means. Pure; scipy.special only, imported when used."""

from __future__ import annotations


def import_now() -> None:
    """Import what judging needs, where it would otherwise happen in the midst of a load."""
    import scipy.special  # noqa: F401

"""Samples out of a table of kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st


def samples(table: Mapping[str, Sequence[str]]) -> st.SearchStrategy[str]:
    """A sample of any kind, each kind as likely as the next, the shorter ones simpler."""
    return st.one_of([st.sampled_from(sorted(kind, key=len)) for kind in table.values()])

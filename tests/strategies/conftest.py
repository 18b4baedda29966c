"""Draws from strategies, the same values in each run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="session")
def drawn() -> Callable[..., list[Any]]:
    """``drawn(strategy, 300)`` -> so many values, or fewer when there are no more."""

    def draw(strategy: st.SearchStrategy[Any], count: int = 300) -> list[Any]:
        found: list[Any] = []

        @settings(
            max_examples=count,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def take(value: Any) -> None:
            found.append(value)

        take()
        return found

    return draw

"""Where our things hang on pytest's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_llmserve.plugin.markers import Wishes
    from pytest_llmserve.plugin.state import State

STATE: pytest.StashKey[State] = pytest.StashKey()
WISHES: pytest.StashKey[Wishes] = pytest.StashKey()

LOADS = frozenset({"llm_load", "llm_tasks"})
"""The fixtures that send a load."""

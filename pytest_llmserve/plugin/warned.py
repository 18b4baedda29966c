"""Warnings of pytest that say where no verdict was reached, or none can be."""

from __future__ import annotations

import warnings

import pytest

from pytest_llmserve.domain.errors import LlmServeWarning
from pytest_llmserve.plugin.markers import marker_place

LET_PASS = "-W default::pytest_llmserve.LlmServeWarning"
"""The way out where a user's filter turns every warning into an error."""
AS_ERRORS = f"warnings are errors here: let it pass with {LET_PASS}"
NOT_BEGUN = (
    f"the load was not begun, as warnings are errors here: send more requests, or let it run with {LET_PASS}"
)


def warned(item: pytest.Item, marker: str, text: str) -> bool:
    """Warn at a test's marker; False where a filter of the user turns that warning into an error."""
    path, line = marker_place(item, marker)
    try:
        # Without a registry no earlier warning from the same line keeps this one back.
        warnings.warn_explicit(text, LlmServeWarning, path, line)
    except LlmServeWarning:
        return False
    return True

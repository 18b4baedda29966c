"""hypothesis' deadline: 200 ms for an example, which no model's answer keeps."""

from __future__ import annotations

import sys

import pytest

_OF_TEST = "_hypothesis_internal_use_settings"


def lift_deadline(item: pytest.Item) -> None:
    """Let the examples of this test take their time, unless its author has set a deadline of his own.

    hypothesis' own deadline is known by its value: settings do not tell what was set in them. Each test has
    its settings on its function, under a name that hypothesis' own decorator writes too; there is no public
    way to change them. Without that name nothing is done.
    """
    hypothesis = sys.modules.get("hypothesis")
    function = getattr(getattr(item, "obj", None), "__func__", getattr(item, "obj", None))
    if hypothesis is None or not getattr(function, "is_hypothesis_test", False):
        return
    settings = hypothesis.settings
    there = getattr(function, _OF_TEST, None)
    if there is not None and there.deadline == settings.get_profile("default").deadline is not None:
        setattr(function, _OF_TEST, settings(parent=there, deadline=None))

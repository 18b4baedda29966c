"""Parts of a document that only some reports are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHARTS = "_charts"
"""Of a run: what its plots are drawn from, `reports.charts`."""
MARKS = "_marks"
"""Of a test: what happened to its server at which instant, `reports.charts.server_marks`."""
SHARD = "_shard"
"""Of a test: path of the file with its requests, a line each, until the report is put together."""

SERVERLESS = "_serverless"
"""Of a document: how many tests were skipped as no server was named."""

_HOLDERS = ("tests", "runs", "comparison", "b")
"""Keys of what such parts may stand in: further down, a name that begins with an underscore is its user's."""


def without_private(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same plain data without the keys that begin with an underscore.

    Args:
        document: of a session or a comparison, or a test or a run of one.
    """
    return {
        name: _each(value) if name in _HOLDERS else value
        for name, value in document.items()
        if not name.startswith("_")
    }


def _each(value: Any) -> Any:
    if isinstance(value, dict):
        return without_private(value)
    return [_each(each) for each in value] if isinstance(value, (list, tuple)) else value

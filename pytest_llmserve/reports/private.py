"""Parts of a document that only some reports are made of."""

from __future__ import annotations

from typing import Any

CHARTS = "_charts"
"""Of a run: what its plots are drawn from, `reports.charts`."""
MARKS = "_marks"
"""Of a test: what happened to its server at which instant, `reports.charts.server_marks`."""
SHARD = "_shard"
"""Of a test: path of the file with its requests, a line each, until the report is put together."""

SERVERLESS = "_serverless"
"""Of a document: how many tests were skipped as no server was named."""


def without_private(value: Any) -> Any:
    """The same plain data without the keys that begin with an underscore, at any depth."""
    if isinstance(value, dict):
        return {key: without_private(each) for key, each in value.items() if not str(key).startswith("_")}
    return [without_private(each) for each in value] if isinstance(value, (list, tuple)) else value

"""What is left out of some reports."""

from __future__ import annotations

from pytest_llmserve.reports.private import without_private

USERS = {"plan": {"params": {"_under": 3}}, "log": {"by_pattern": {"_oom_seen": 1}}}


def test_parts_for_some_reports_are_left_out_where_they_stand():
    """And nowhere else: names of the user's own may begin with an underscore."""
    run = {**USERS, "_charts": {"x": 1}}
    compared = run | {"comparison": {"b": run | {"name": "_old"}}}
    test = {**USERS, "_marks": [], "_shard": {"path": "x"}, "runs": [compared]}
    document = {"environment": {}, "_orphans": [], "tests": [test]}
    rest = USERS | {"comparison": {"b": USERS | {"name": "_old"}}}
    assert without_private(document) == {"environment": {}, "tests": [USERS | {"runs": [rest]}]}

"""Every planted fault is found by its check, and none else fails: the quick form of fault_matrix.py."""

from __future__ import annotations

import importlib
import sys
from collections import ChainMap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE))
rows = importlib.import_module("fault_rows")
QUICK = (*rows.ROWS, *rows.TOGETHER)
AT_ONCE = 3


@pytest.fixture(scope="module")
def matrix(proof):
    return proof("fault_matrix")


@pytest.fixture(scope="module")
def sessions(matrix):
    """What was seen of each row: only the tests that it needs, in sessions side by side: they mostly wait."""
    under_way = matrix.Sessions()
    parts = [QUICK[start::AT_ONCE] for start in range(AT_ONCE)]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = [pool.submit(matrix.of_rows, under_way, part, 1) for part in parts]
            return dict(ChainMap(*[each.result() for each in found]))
    finally:
        under_way.end()


@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.name)
def test_what_is_planted_is_found_and_nothing_else(row, sessions, matrix):
    """The check of the row fails, others only where the fault breaks what they promise."""
    assert matrix.Count(row).add(sessions[row.name]) == []

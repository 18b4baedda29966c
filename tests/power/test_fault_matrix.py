"""Every planted fault is found by its check, and none else fails: the quick form of fault_matrix.py."""

from __future__ import annotations

import importlib
import json
import subprocess
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
def sessions(matrix, tmp_path_factory):
    """What was seen of each row: only the tests that it needs, in sessions side by side: they mostly wait."""
    parts = [(matrix, tmp_path_factory.mktemp("matrix"), QUICK[start::AT_ONCE]) for start in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(ChainMap(*pool.map(session, *zip(*parts, strict=True))))


def session(matrix, folder, asked):
    """One session, in which the server is started anew for each row."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text((HERE / "fault_quickly.py").read_text())
    (folder / "test_suite.py").write_text(matrix.SUITE.read_text())
    told = [{"name": row.name, "faults": row.faults, "needs": row.needs} for row in asked]
    (folder / "rows.json").write_text(json.dumps(told))
    (folder / "planted").touch()
    serve = f"--llm-serve={sys.executable} {HERE / 'fault_server.py'} {folder / 'planted'} {{port}}"
    command = [sys.executable, "-m", "pytest", serve, *matrix.told(folder / "report.json", seed=1)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    return matrix.seen_of_each(folder / "report.json", done.stdout + done.stderr)


@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.name)
def test_what_is_planted_is_found_and_nothing_else(row, sessions, matrix):
    """The check of the row fails, others only where the fault breaks what they promise."""
    assert matrix.Count(row).add(sessions[row.name]) == []

"""docs/benchmark.md: its commands do what it says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest

from pytest_llmserve.plugin.benchmarked import MOST_VALUES
from pytest_llmserve.plugin.neighbours import NEIGHBOURS

QUIET = """
from pytest_llmserve.plugin import kept

kept.bottleneck = lambda health: None
"""
"""Whatever runs beside these tests, no run is left out for it."""


@pytest.fixture
def page(document):
    return document("docs/benchmark.md")


def test_its_commands_run(page, mock_server, session, tmp_path):
    """Two sessions are saved and compared; a third may regress by chance, and says so then."""
    server = mock_server("--ttft-ms", 5, "--itl-ms", 1)
    (tmp_path / "test_chat.py").write_text(page.blocks("python")[0])
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(QUIET)
    first, second, third, compare = (
        page.blocks("sh")[1].replace("http://127.0.0.1:8000", server.url).splitlines()
    )
    for command in (first, second):
        done = session(tmp_path, *shlex.split(command)[1:])
        assert done.exit == 0, done.text
    assert "benchmark 'llmserve:ttft': 2 tests" in done.text
    done = session(tmp_path, *shlex.split(third)[1:])
    assert done.exit == int("Performance has regressed" in done.text), done.text
    command = [sys.executable, "-m", "pytest_benchmark", *shlex.split(compare)[1:]]
    told = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    names = [f"test_chat.py::test_chat::{each}" for each in ("ttft", "itl", "tpot", "e2e")]
    assert all(f"benchmark '{name}': 2 tests" in told for name in names)
    assert all(f"`llmserve:{name.rpartition('::')[2]}`" in page.text for name in names)
    (saved,) = tmp_path.glob(".benchmarks/*/0001_before.json")
    (each, *_) = json.loads(saved.read_text())["benchmarks"]
    row = re.search(r"^\| `extra_info` \| (.*) \|$", page.text, re.MULTILINE)[1]
    named = set(re.findall(r"`(\w+)`", row)) | {"p90_ms", "p95_ms", "p99_ms"}
    assert set(each["extra_info"]) | set(each["extra_info"]["server"]) == named - {"data"}


def test_it_names_what_asks_for_each_plugin(page):
    """Every option of the table, and the most values that are kept."""
    row = next(line for line in page.text.splitlines() if line.startswith("| pytest-benchmark | `"))
    asked = set(re.findall(r"`-+(?:benchmark-)?([a-z-]+)`", row))
    (options,) = [each for path, each in NEIGHBOURS.items() if path.endswith(":Bridge")]
    assert {f"benchmark_{name.replace('-', '_')}" for name in asked} == set(options)
    assert f"{MOST_VALUES:,}" in page.text

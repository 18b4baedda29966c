"""The benchmark of memory measures what it says, and fails when a limit is passed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "memory.py"


@pytest.mark.parametrize(("limit_mb", "kept"), [(600, True), (20, False)])
def test_a_small_run_is_measured_through_all_its_phases(limit_mb, kept, tmp_path, monkeypatch):
    """A Python process alone takes more than 20 MB. Whether workers grow in two seconds is the machine's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    small = ["--requests", "400", "--users", "4", "--itl-ms", "0.2", "--limit-mb", str(limit_mb)]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *small], capture_output=True, text=True, timeout=120, check=False
    )
    assert "400 requests, 0 failed, 39600 gaps" in done.stdout
    assert f"MB, at most {limit_mb}" in done.stdout
    (quarters,) = (line for line in done.stdout.splitlines() if line.startswith("load workers, USS: "))
    found_mb = [float(part.split(" MB")[0]) for part in quarters.partition("USS: ")[2].split(", ")]
    assert len(found_mb) == 4
    assert all(5 < mb < 200 for mb in found_mb)
    grown_mb, most_mb = map(float, re.search(r"grew by (\S+) MB, at most (\S+)\n", done.stdout).groups())
    assert grown_mb == pytest.approx(found_mb[-1] - found_mb[0], abs=0.2)
    assert done.returncode == (0 if kept and grown_mb <= most_mb else 1), done.stdout + done.stderr


def test_growth_is_told_by_the_first_sample_behind_each_quarter(benchmark_module):
    sampler = benchmark_module("memory").Sampler()
    assert sampler.workers_at(10) != sampler.workers_at(10), "NaN, which no limit holds for"
    sampler.workers_mb += [(0, 20.0), (30, 21.0), (90, 25.0)]
    assert [sampler.workers_at(n) for n in (25, 50, 75, 100)] == [21.0, 25.0, 25.0, 25.0]


def test_figures_are_written_for_the_benchmark_to_judge(tmp_path, monkeypatch, benchmark_module):
    """Then no limit ends it, and they are those of `Memory`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    out = tmp_path / "out.json"
    small = ["--requests", "40", "--users", "4", "--itl-ms", "0.2", "--limit-mb", "1", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *small], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    memory = benchmark_module("figures").Memory(**json.loads(out.read_text()))
    assert (memory.requests, memory.tokens, memory.failed) == (40, 100, 0)
    assert 20 < memory.peak_mb < 600

"""The fixed work that tells how fast a core computes."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "calibration.py"


def test_the_work_is_always_the_same(benchmark_module):
    calibration = benchmark_module("calibration")
    assert calibration.work() == {number: str(number) for number in range(3000)}


def test_sleep_is_not_in_its_cost(benchmark_module):
    """A fraction of a millisecond of CPU, beside 50 ms of sleep."""
    assert 0 < benchmark_module("calibration").median_us(0.05, times=5) < 25_000


def test_both_figures_are_written(tmp_path):
    out = tmp_path / "pace.json"
    subprocess.run([sys.executable, str(PROGRAM), "--out", str(out)], check=True, timeout=120)
    found = json.loads(out.read_text())
    assert set(found) == {"hot_us", "slept_us"}
    assert min(found.values()) > 10

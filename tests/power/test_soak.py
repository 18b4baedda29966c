"""A long load costs no more at its end than at its beginning."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import psutil
import pytest

MOCK = Path(__file__).parents[1] / "servers" / "mock_server.py"
SERVE = f"{shlex.quote(sys.executable)} {shlex.quote(str(MOCK))} --port {{port}} --ttft-ms 10 --tokens 8"
SOAK = """
import pytest

@pytest.mark.load(users=8, duration="30m")
@pytest.mark.no_leak(mb=20, per="hour", settle="1s")
@pytest.mark.error_rate(max=0.01)
def test_soak(llm_load):
    llm_load("Say hi.")
"""
SCALE = 0.06
GROWTH_MB = 5.0


def uss_mb(process: psutil.Process, server: str) -> float:
    """Of pytest and its load worker, without the server and its guard."""
    family = [process, *process.children(recursive=True)]
    ours = [one for one in family if server not in " ".join(one.cmdline())]
    return sum(one.memory_full_info().uss for one in ours) / 1e6


@pytest.mark.proof
def test_a_soak_of_half_an_hour_in_less_than_two_minutes_keeps_its_memory_flat(pytester):
    """As many requests as half an hour has at 25 a second; growth after the first quarter, by medians."""
    pytester.makepyfile(test_soak=SOAK)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:asyncio",
        f"--llm-scale={SCALE}",
        "--llm-serve",
        SERVE,
    ]
    with (pytester.path / "out").open("wb") as out:
        session = subprocess.Popen(command, cwd=pytester.path, stdout=out, stderr=out)
    process, seen = psutil.Process(session.pid), []
    try:
        begun = time.monotonic()
        while session.poll() is None and time.monotonic() - begun < 300:
            at_s = time.monotonic() - begun
            if 30 < at_s < 1800 * SCALE - 3:
                seen.append(uss_mb(process, MOCK.name))
            time.sleep(1)
        assert session.wait(60) == 0, (pytester.path / "out").read_text()
    finally:
        session.kill()
        session.wait(10)
    assert len(seen) >= 40
    first, last = median(seen[:10]), median(seen[-10:])
    print(f"own memory {first:.1f} MB after a quarter, {last:.1f} MB at the end, most {max(seen):.1f} MB")
    assert last - first < GROWTH_MB
    assert (pytester.path / "out").read_text().count("failed (") == 0

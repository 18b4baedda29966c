"""The GPU of a Mac: recorded reports, and a program that stands for macmon."""

from __future__ import annotations

import os
import sys

import pytest

from pytest_llmserve.domain.errors import ProbeLost
from pytest_llmserve.domain.samples import GpuSample
from pytest_llmserve.observe.apple_gpu import (
    MACMON,
    MOST_BYTES,
    NO_PROGRAM,
    POWERMETRICS,
    AppleGpu,
    apple_gpu,
    gpu_of_macmon,
    gpu_of_powermetrics,
    whole_reports,
)

OLDER = (
    b'{"all_power":14.05,"gpu_power":0.5,"gpu_usage":[354,0.25],"memory":{"ram_total":17179869184},'
    b'"temp":{"cpu_temp_avg":82.86,"gpu_temp_avg":73.5},"timestamp":"2026-09-18T02:31:00Z"}\n'
)
NEWER = (
    b'{"gpu_freq_mhz":461,"gpu_scaled_ratio":0.125,"gpu_active_ratio":0.5,"gpu_power":2.5,'
    b'"temp":{"cpu_temp_avg":43.7,"gpu_temp_avg":0.0}}\n'
)
PLIST = b"""\
\0<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
<key>is_delta</key><true/>
<key>elapsed_ns</key><integer>500000000</integer>
<key>gpu</key>
<dict>
<key>freq_hz</key><real>372.088</real>
<key>idle_ratio</key><real>0.75</real>
<key>gpu_energy</key><integer>200</integer>
</dict>
</dict>
</plist>"""


def test_reports_of_macmon():
    """Both forms it has had; a sensor that is not there is written as 0, and not told."""
    assert gpu_of_macmon(OLDER) == GpuSample(index=0, percent=25, power_w=0.5, temperature_c=73.5)
    assert gpu_of_macmon(NEWER) == GpuSample(index=0, percent=50, power_w=2.5)
    for line in (b"{broken", b"[]", b"{}", b'{"gpu_usage": 3}'):
        assert gpu_of_macmon(line) is None


def test_reports_of_powermetrics():
    """Energy over the time it was used in: 200 mJ in half a second."""
    assert gpu_of_powermetrics(PLIST) == GpuSample(index=0, percent=25, power_w=0.4)
    assert gpu_of_powermetrics(PLIST.replace(b"gpu", b"cpu")) is None
    assert gpu_of_powermetrics(b"powermetrics must be invoked as the superuser\n") is None


@pytest.mark.parametrize("cut", [1, 100, len(PLIST), len(PLIST) + 5])
def test_reports_come_in_pieces(cut):
    """Each is whole when its end has come."""
    first, left = whole_reports((PLIST * 2)[:cut], POWERMETRICS.end)
    rest, left = whole_reports(left + (PLIST * 2)[cut:], POWERMETRICS.end)
    assert [gpu_of_powermetrics(report).percent for report in (*first, *rest)] == [25, 25]
    assert left == b""
    assert whole_reports(b"x" * (MOST_BYTES + 1), b"\n") == ([], b"")


def test_which_program_is_used():
    """macmon where it is; powermetrics for root; else it is said what to install. On a Mac alone."""
    both = {"macmon": "/opt/macmon", "powermetrics": "/usr/bin/powermetrics"}.get
    one = {"powermetrics": "/usr/bin/powermetrics"}.get
    assert apple_gpu("linux", both, lambda: True) is None
    assert apple_gpu("darwin", both, lambda: False)._program is MACMON
    assert apple_gpu("darwin", one, lambda: True)._program is POWERMETRICS
    assert apple_gpu("darwin", one, lambda: False).missing == NO_PROGRAM
    assert "brew install macmon" in NO_PROGRAM


@pytest.fixture
def macmon(tmp_path, monkeypatch):
    """A program of this name, first on PATH, with this text after its first line."""

    def write(code):
        path = tmp_path / "macmon"
        path.write_text(f"#!{sys.executable}\nimport signal, sys, time\n{code}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        return AppleGpu(MACMON)

    return write


def test_a_program_is_read_while_it_runs_and_ended(macmon, until):
    """Each report once, never waiting for one; also one that does not listen when told to end."""
    probe = macmon(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"sys.stdout.write({OLDER.decode()!r})\nsys.stdout.flush()\ntime.sleep(600)"
    )
    told = [probe.read(True)]
    until(lambda: told.append(probe.read(True)) or told[-1] != {})
    assert told[-1] == {"gpus": (gpu_of_macmon(OLDER),)}
    assert probe.read(True) == {}
    probe.close()
    probe.close()
    assert probe._process.poll() is not None


def test_a_program_that_ends_is_told_with_its_last_words(macmon, until):
    """It is not asked again."""
    probe = macmon("print('no such sensor'); sys.exit(3)")
    probe.read(True)
    until(lambda: probe.missing is not None)
    with pytest.raises(ProbeLost) as caught:
        probe.read(True)
    assert str(caught.value) == (
        "the GPU's use and power are no longer available, because macmon ended with 3: no such sensor"
    )
    probe.close()


def test_a_program_that_cannot_be_started_is_told(monkeypatch, tmp_path):
    """As the system says it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProbeLost) as caught:
        AppleGpu(MACMON).read(True)
    assert str(caught.value) == (
        "the GPU's use and power are not available, because macmon: No such file or directory"
    )

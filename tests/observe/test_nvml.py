"""What the driver's bits mean, and, where there is a GPU, that its figures are those of nvidia-smi."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from pytest_llmserve.domain.samples import GpuSample
from pytest_llmserve.observe.gpu import GpuDevices
from pytest_llmserve.observe.nvml import throttled


@pytest.mark.parametrize(
    ("bits", "why"),
    [
        (0x0, ""),
        (0x1 | 0x2 | 0x100, ""),
        (0x20, "thermal"),
        (0x4 | 0x10, "power cap, sync boost"),
        (0x8, "hardware slowdown"),
        (0x8 | 0x40, "hardware thermal"),
        (0x8 | 0x80, "power brake"),
        (0x200 | 0x400, "board limit, reliability"),
        (0x1000 | 0x4, "power cap, unknown reason 0x1000"),
    ],
)
def test_reasons_are_told_in_words_and_idle_or_set_clocks_are_none(bits, why):
    """A slowdown by the hardware is told by its cause where that is known."""
    assert throttled(bits) == why


ASKED = "memory.used,memory.total,temperature.gpu,power.draw"


def nvidia_smi() -> list[list[str]]:
    """A row a GPU, of `ASKED`."""
    command = ["nvidia-smi", f"--query-gpu={ASKED}", "--format=csv,noheader,nounits"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return [[word.strip() for word in line.split(",")] for line in text.splitlines()]


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="this machine has no nvidia-smi, so no GPU")
def test_figures_are_those_that_nvidia_smi_shows():
    """Of every GPU that is not cut into MIG instances, within what changes between two readings."""
    devices = GpuDevices(frozenset, lambda pids: [])
    samples: tuple[GpuSample, ...] = devices.read(True)["gpus"]
    shown = nvidia_smi()
    whole = [sample for sample in samples if " MIG " not in devices.names[sample.index]]
    devices.close()
    if len(whole) != len(shown):
        pytest.skip("GPUs here are cut into MIG instances, of which nvidia-smi --query-gpu shows nothing")
    for sample, (used, total, celsius, watts) in zip(whole, shown, strict=True):
        pairs = (
            (sample.memory_bytes, used, 2**20, 64),
            (sample.total_bytes, total, 2**20, 1),
            (sample.temperature_c, celsius, 1, 5),
            (sample.power_w, watts, 1, 100),
        )
        for read, text, unit, within in pairs:
            if text.startswith("["):  # [N/A], [Not Supported]
                assert read is None
            else:
                assert read / unit == pytest.approx(float(text), abs=within)

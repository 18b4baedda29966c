"""CUDA_VISIBLE_DEVICES as CUDA reads it, where that tells which device of the driver is meant."""

from __future__ import annotations

import os

import pytest

from pytest_llmserve.observe.nvml import Device
from pytest_llmserve.observe.visible import environments, visible


def device(chip: int, model: str = "H100", uuid: str = "", part: bool = False) -> Device:
    return Device(name="", model=model, chip=chip, uuid=uuid, handle=0, whole=0, is_part=part)


ALIKE = [device(0, uuid="GPU-aa1"), device(1, uuid="GPU-ab2"), device(2, uuid="GPU-bb3")]
MIXED = [device(0, "T4"), device(1, "H100")]
PARTS = [device(0), device(1, uuid="MIG-1", part=True), device(1, uuid="MIG-2", part=True)]


@pytest.mark.parametrize(
    ("said", "devices", "places"),
    [
        ([], ALIKE, None),
        ([{"PATH": "/bin"}], ALIKE, None),
        ([{"CUDA_VISIBLE_DEVICES": "2, 0"}], ALIKE, {0, 2}),
        ([{"CUDA_VISIBLE_DEVICES": "GPU-ab"}], ALIKE, {1}),
        ([{"CUDA_VISIBLE_DEVICES": "1,-1,2"}], ALIKE, {1}),
        ([{"CUDA_VISIBLE_DEVICES": "1,9,2"}], ALIKE, {1}),
        ([{"CUDA_VISIBLE_DEVICES": ""}], ALIKE, set()),
        ([{"CUDA_VISIBLE_DEVICES": "NoDevFiles"}], ALIKE, set()),
        ([{"CUDA_VISIBLE_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": "1"}, {}], ALIKE, {1}),
        ([{"CUDA_VISIBLE_DEVICES": "MIG-GPU-aa1/7/0"}], ALIKE, None),
        ([{"CUDA_VISIBLE_DEVICES": "0"}], MIXED, None),
        ([{"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}], MIXED, {0}),
        ([{"CUDA_VISIBLE_DEVICES": "-1"}], MIXED, set()),
        ([{"CUDA_VISIBLE_DEVICES": "MIG-2"}], PARTS, {2}),
        ([{"CUDA_VISIBLE_DEVICES": "1"}], PARTS, {1, 2}),
    ],
)
def test_the_devices_that_are_named(said, devices, places):
    """None = not known: the fastest GPU is CUDA's first, and which that is the driver does not tell."""
    assert visible(said, devices) == (None if places is None else frozenset(places))


def test_an_environment_is_read_of_processes_that_are_there(child):
    found = environments([child.pid])
    assert [environment["PATH"] for environment in found] == [os.environ["PATH"]]
    child.end()
    assert environments([child.pid]) == []

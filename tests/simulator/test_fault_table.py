"""Every fault has a row, and says what it is."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from pytest_llmserve.simulator import faults as room
from pytest_llmserve.simulator.faults import FAULTS
from pytest_llmserve.simulator.faults.fault import CRASH_STATUS, Fault, crash

HELPERS = {"__init__", "events", "fault"}


def test_every_file_of_the_room_is_a_fault_of_the_table():
    """And is named as its row."""
    files = {path.stem for path in Path(room.__file__).parent.glob("*.py")} - HELPERS
    assert set(FAULTS) == files
    assert [name for name, place in FAULTS.items() if f".{name}:" not in place] == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_says_what_it_is(faults, name):
    """In a first line of a sentence; what its keys mean stands under it; it can be had without any."""
    fault = faults.make(name)
    assert isinstance(fault, Fault)
    text = inspect.getdoc(type(fault))
    assert text.splitlines()[0].endswith(".")
    keys = [field.name for field in fields(fault) if field.name != "seed"]
    assert [key for key in keys if f"    {key}: " not in text] == []
    assert all(isinstance(getattr(fault, key), (int, float, str)) for key in keys)


@pytest.mark.parametrize("name", FAULTS)
def test_every_number_of_a_fault_has_bounds(faults, name):
    """And its default keeps them: no value that can be given breaks the simulator itself."""
    numbers = [
        each for each in fields(faults.make(name)) if each.type in {"int", "float"} and each.name != "seed"
    ]
    for each in numbers:
        assert each.metadata["least"] <= each.default <= each.metadata["most"], each.name


def test_chance_is_the_seeds(faults):
    """The same requests for the same seed, others for another, about the share that was asked for."""
    hits = [
        [number for number in range(2000) if faults.make("leak", seed=seed).chance(number, 0.1)]
        for seed in (1, 1, 2)
    ]
    assert hits[0] == hits[1] != hits[2]
    assert 150 < len(hits[0]) < 250


def test_a_crash_ends_the_process_as_a_segmentation_fault(monkeypatch):
    statuses = []
    monkeypatch.setattr("os._exit", statuses.append)
    crash()
    assert statuses == [CRASH_STATUS] == [139]

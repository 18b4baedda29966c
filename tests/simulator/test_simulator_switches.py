"""--fault NAME:KEY=VALUE: typed by the fault's fields; what is not there is told with what there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from pytest_llmserve.simulator.faults.fault import Fault, within
from pytest_llmserve.simulator.switches import UnknownFault, listing, make_fault


@dataclass
class Planted(Fault):
    """Does nothing, slowly.

    More of it.
    """

    every: int
    ms: float = within(2.5, 0, 100)
    hard: bool = False
    how: Literal["cut", "reset"] = "cut"
    only: int | None = None


HERE = f"{__name__}:Planted"
TABLE = {"planted": HERE}
KEYS = "every=int, ms=2.5, hard=False, how=cut (cut|reset), only=None, seed=0"


def test_values_have_the_types_of_their_fields():
    """Numbers, truths, words of a few, and the server's seed where none is given."""
    made = make_fault("planted:every=3, ms=1,hard=yes,how=reset,only=4", 7, TABLE)
    assert made == Planted(3, 1.0, True, "reset", 4, seed=7)
    assert make_fault("planted:every=3,seed=1", 7, TABLE) == Planted(3, seed=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plantd", "no fault 'plantd'; did you mean planted? there are: planted"),
        ("planted", f"fault planted: every is not given; its keys: {KEYS}"),
        ("planted:evry=1", f"fault planted: no key 'evry'; its keys: {KEYS}"),
        ("planted:every", f"fault planted: no key 'every'; its keys: {KEYS}"),
        ("planted:every=1.5", "fault planted: every=1.5: give a whole number"),
        ("planted:every=1,ms=x", "fault planted: ms=x: give a number, 0 to 100"),
        ("planted:every=1,ms=nan", "fault planted: ms=nan: give a number, 0 to 100"),
        ("planted:every=1,ms=100.1", "fault planted: ms=100.1: give a number, 0 to 100"),
        ("planted:every=1,hard=maybe", "fault planted: hard=maybe: give true or false"),
        ("planted:every=1,how=x", "fault planted: how=x: give cut or reset"),
    ],
)
def test_what_cannot_be_planted_is_told_with_what_can(text, message):
    """Word for word."""
    with pytest.raises(UnknownFault) as caught:
        make_fault(text, 0, TABLE)
    assert str(caught.value) == message


def test_the_list_tells_each_fault_with_its_keys():
    """And what it does: the first line of its class."""
    assert listing(TABLE) == f"planted  {KEYS}\n    Does nothing, slowly."

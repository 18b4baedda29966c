"""Millions of gaps are kept in four bytes each, and read as the floats they are."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmserve.domain import gaps as room
from pytest_llmserve.domain.gaps import gather
from pytest_llmserve.domain.stamps import RARE, token_stamps

ANSWERS = st.lists(
    st.none() | st.lists(st.integers(0, 10_000) | st.integers(0, 2**40), max_size=12).map(tuple), max_size=12
)


def by_hand(answers):
    """The same as floats, in order."""
    values = []
    for stamps in answers:
        values += [math.inf] if stamps is None else [(b - a) / 1_000_000 for a, b in pairwise(stamps)]
    return values


def packed(answers):
    return gather(None if stamps is None else token_stamps(stamps) for stamps in answers)


@pytest.fixture(params=[0, 10**9], ids=["with numpy", "without"])
def many(request, monkeypatch):
    """Few values are sorted and summed as they are, many by numpy: both ways keep every promise."""
    monkeypatch.setattr(room, "MANY", request.param)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("answers", "in_order"),
    [
        ([], []),
        ([(5,)], []),
        ([(0, 1_000_000, 1_500_000)], [1.0, 0.5]),
        ([(0, 2_000_000), None, (0, 1_000_000)], [2.0, math.inf, 1.0]),
        ([(0, RARE - 1), (0, RARE), (0, RARE + 1)], [4294.967294, 4294.967295, 4294.967296]),
        ([(9, 4, 6), None, (0, 3_600_000_000_000)], [-0.000005, 0.000002, math.inf, 3_600_000.0]),
    ],
    ids=["nothing", "one chunk", "usual", "failed", "about 4.29 s", "negative, endless, an hour"],
)
def test_gaps_of_answers(answers, in_order):
    found = packed(answers)
    assert (list(found), list(found.ordered())) == (in_order, sorted(in_order))
    assert [found[i] for i in range(-len(in_order), len(in_order))] == in_order * 2
    assert found.total_ms() == pytest.approx(math.fsum(in_order))
    assert [value for block in found.blocks() for value in block] == in_order


@given(ANSWERS)
def test_as_floats_would_be(answers):
    """Exactly the floats that subtraction gives, in order and sorted, by index, slice and block."""
    found, values = packed(answers), by_hand(answers)
    for kept, wanted in ((found, values), (found.ordered(), sorted(values))):
        assert list(kept) == [kept[i] for i in range(len(kept))] == wanted
        assert kept[1:-1:2] == tuple(wanted[1:-1:2])
        assert [v for block in kept.blocks(1, len(wanted)) for v in block] == wanted[1:]
    assert found == packed(answers)
    assert found != packed([*answers, None])


def test_blocks_join_without_a_seam(monkeypatch):
    """Rare gaps fall where they belong, whichever block they are in."""
    monkeypatch.setattr(room, "_BLOCK", 7)
    source = random.Random(3)
    answers = [
        (0, 10 ** source.choice((3, 5, 10, 11))) if source.random() < 0.9 else None for _ in range(100)
    ]
    found = [list(block) for block in packed(answers).blocks(3, 95)]
    assert [value for block in found for value in block] == by_hand(answers)[3:95]
    assert {len(block) for block in found} == {7, 1}


def test_sorting_leaves_the_order_of_the_original():
    """Also beyond the size where numpy sorts in place."""
    answers = [(0, (i * 7919) % 60_013) for i in range(room.MANY + 5_000)]
    found = packed(answers)
    assert list(found.ordered()) == sorted(by_hand(answers))
    assert list(found) == by_hand(answers)


def test_an_index_beyond_the_end():
    with pytest.raises(IndexError):
        packed([(0, 1)])[1]

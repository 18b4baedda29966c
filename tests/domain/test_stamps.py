"""Stamps are packed into four bytes each, and read as the tuple they were."""

import pickle
from array import array

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmserve.domain.record import RequestRecord
from pytest_llmserve.domain.stamps import RARE, TokenStamps, token_stamps

START = 1_700_000_000_000_000_000
STAMPS = st.lists(st.one_of(st.integers(0, 2**62), st.integers(START, START + 10**10)), max_size=30).map(
    tuple
)


@pytest.mark.parametrize(
    ("stamps", "gaps", "bytes_each"),
    [
        ((), [], 0),
        ((7,), [], 0),
        ((7, 7, 7), [0, 0], 4),
        ((START, START + 5, START + 20_000_005), [5, 20_000_000], 4),
        ((0, RARE - 1), [RARE - 1], 4),
        ((0, RARE), [RARE], 8),
        ((0, 1, 4_300_000_001), [1, 4_300_000_000], 8),
        ((5, 5 + 86_400_000_000_000), [86_400_000_000_000], 8),
        ((9, 4, 6), [-5, 2], 8),
    ],
    ids=["none", "one", "equal", "usual", "longest of four", "4.29 s", "over", "a day", "clock set back"],
)
def test_packed_by_gaps(stamps, gaps, bytes_each):
    """Four bytes a gap; eight in an answer with one that does not fit, be it long or negative."""
    packed = token_stamps(stamps)
    assert (list(packed.gaps_ns), len(packed.cells)) == (gaps, bytes_each * len(gaps))
    assert (tuple(packed), len(packed), bool(packed)) == (stamps, len(stamps), bool(stamps))
    ends = (stamps[0], stamps[-1]) if stamps else (None, None)
    assert (packed.first_ns, packed.last_ns) == ends


@given(STAMPS)
def test_what_is_packed_comes_back(stamps):
    """To the nanosecond, packed or sent through a file or a pipe."""
    packed = token_stamps(stamps)
    through = msgspec.msgpack.decode(msgspec.msgpack.encode(packed), type=TokenStamps)
    assert tuple(packed) == tuple(through) == stamps
    assert pickle.loads(pickle.dumps(packed)) == packed


@given(STAMPS, st.data())
def test_read_like_a_tuple(stamps, data):
    packed = token_stamps(stamps)
    part = data.draw(st.slices(len(stamps)))
    assert packed[part] == stamps[part]
    for index in range(-len(stamps), len(stamps)):
        assert packed[index] == stamps[index]
    with pytest.raises(IndexError):
        packed[len(stamps)]
    assert packed == stamps
    assert stamps == packed
    assert packed == token_stamps(list(stamps))
    assert packed != (*stamps, 1)
    assert packed != list(stamps), "as no tuple is equal to a list"
    assert (hash(packed), repr(packed)) == (hash(stamps), repr(stamps))
    assert list(reversed(packed)) == list(reversed(stamps))
    assert all(stamp in packed for stamp in stamps)


def test_a_record_packs_what_it_is_given():
    """Records made by hand with a tuple, and changed ones, are as small as those of a run."""
    fields = dict.fromkeys(RequestRecord.__struct_fields__) | {"token_ns": (7, 9, 12)}
    record = RequestRecord(**fields)
    assert isinstance(record.token_ns, TokenStamps)
    assert (record.token_ns, record.first_token_ns, record.last_token_ns) == ((7, 9, 12), 7, 12)
    changed = msgspec.structs.replace(record, token_ns=[1, 2])
    assert changed.token_ns == (1, 2)
    assert msgspec.structs.replace(record, token_ns=()).last_token_ns is None


def test_a_cell_has_four_bytes():
    """The size in every promise here; C leaves it open."""
    assert (array("I").itemsize, array("q").itemsize) == (4, 8)

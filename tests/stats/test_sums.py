"""What is computed by blocks of packed gaps is what plain lists give."""

import math
import random

import pytest

from pytest_llmserve.domain import gaps as room
from pytest_llmserve.domain.gaps import gather
from pytest_llmserve.domain.stamps import token_stamps
from pytest_llmserve.stats.dependence import inflation_of, variance_inflation
from pytest_llmserve.stats.means import mean_of
from pytest_llmserve.stats.sums import over, total, variance


@pytest.fixture
def walk(monkeypatch):
    """1003 gaps of a slow walk, in ns, over many blocks."""
    monkeypatch.setattr(room, "_BLOCK", 64)
    source, level, found = random.Random(5), 50e6, []
    for _ in range(1003):
        level = max(1e6, level + source.gauss(0, 2e6))
        found.append(round(level))
    return found


def packed(gaps_ns):
    return gather(None if gap is None else token_stamps((7, 7 + gap)) for gap in gaps_ns)


def test_sums_and_spread(walk):
    plain, gaps = [gap / 1e6 for gap in walk], packed(walk)
    assert total(gaps) == pytest.approx(total(plain), rel=1e-12)
    assert total(gaps, 100, 300) == pytest.approx(total(plain, 100, 300), rel=1e-12)
    assert variance(gaps) == pytest.approx(variance(plain), rel=1e-9)
    assert variance(gaps, 500) == pytest.approx(variance(plain, 500), rel=1e-9)
    assert total([1.0, 2.0, 3.0], 1) == 5.0
    assert variance([1.0, 2.0, 3.0]) == 1.0


def test_marks(walk):
    """Over a limit, or at it; a failed one is over every limit."""
    limit_ms = sorted(walk)[900] / 1e6
    plain, gaps = [gap / 1e6 for gap in walk] + [math.inf], packed([*walk, None])
    for or_at in (False, True):
        marks, wanted = over(gaps, limit_ms, or_at=or_at), over(plain, limit_ms, or_at=or_at)
        assert marks.tolist() == wanted
        assert total(marks) == total(wanted) == 103 + or_at
        assert variance(marks) == pytest.approx(variance(wanted), rel=1e-9)
        assert variance_inflation(marks) == pytest.approx(variance_inflation(wanted), rel=1e-9)


def test_dependence_and_mean(walk):
    """The walk's neighbours are alike: packed or not, the same discount is taken."""
    plain, gaps = [gap / 1e6 for gap in walk], packed(walk)
    assert variance_inflation(gaps) == pytest.approx(variance_inflation(plain), rel=1e-9)
    assert variance_inflation(gaps) > 10
    for ordered in (None, gaps.ordered()):
        found = inflation_of(over(gaps, 0.5), gaps, 0.9, ordered)
        assert found.bold == pytest.approx(inflation_of(over(plain, 0.5), plain, 0.9).bold, rel=1e-9)
        assert found.cautious > 10
    found, wanted = mean_of(gaps), mean_of(plain)
    assert (found.mean, found.error, found.freedom) == pytest.approx(
        (wanted.mean, wanted.error, wanted.freedom), rel=1e-9
    )


def test_equal_gaps_have_no_spread_at_all():
    """Not the dust of rounding, which batches would be compared with."""
    gaps = packed([20_100_001] * 1003)
    assert variance(gaps) == 0.0
    assert variance_inflation(gaps) == 1.0
    assert mean_of(gaps).error == 0.0
